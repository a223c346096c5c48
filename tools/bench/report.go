package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// printTable writes one line a figure and one column a result.
func printTable(w io.Writer, title string, results []result) error {
	if len(results) == 0 {
		return nil
	}
	var page bytes.Buffer
	page.WriteString("\n" + title + "\n")
	tab := tabwriter.NewWriter(&page, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(label string, cell func(*result) string) error {
		cells := []string{label}
		for i := range results {
			cells = append(cells, cell(&results[i]))
		}
		_, err := io.WriteString(tab, strings.Join(cells, "\t")+"\t\n")
		return err
	}
	var errs []error
	if results[0].Step != "" {
		errs = append(errs, line("", func(r *result) string { return r.Step }))
	}
	for _, f := range figureNames(results) {
		errs = append(errs, line(f.label(), func(r *result) string {
			if v, ok := r.value(f.Name); ok {
				return short(v)
			}
			return "-"
		}))
	}
	errs = append(errs, line("holds", func(r *result) string {
		return map[bool]string{true: "yes", false: "NO"}[r.sustained()]
	}), tab.Flush())
	for _, r := range results {
		for _, p := range r.Problems {
			page.WriteString(r.where() + ": " + p + "\n")
		}
	}
	_, err := page.WriteTo(w)
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return nil
}

// where is which of the columns a result is.
func (r *result) where() string {
	if r.Step != "" {
		return r.Step
	}
	return "at " + short(r.Offered) + " msg/s"
}

// figureNames is every figure that occurs, in order of first appearance.
func figureNames(results []result) []figure {
	var names []figure
	have := map[string]bool{}
	for _, r := range results {
		for _, f := range r.Figures {
			if !have[f.Name] {
				have[f.Name] = true
				names = append(names, f)
			}
		}
	}
	return names
}

func (f figure) label() string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + " (" + f.Unit + ")"
}

// short is a number with about four significant digits.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

func printJSON(w io.Writer, results []result) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(results); err != nil {
		return fmt.Errorf("print results: %w", err)
	}
	return nil
}
