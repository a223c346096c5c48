package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
)

// printTable writes one line a figure and one column a result.
func printTable(w io.Writer, title string, results []result) error {
	if len(results) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", title)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, f := range figureNames(results) {
		fmt.Fprintf(tab, "%s\t", f.label())
		for _, r := range results {
			cell := "-"
			if v, ok := r.value(f.Name); ok {
				cell = short(v)
			}
			fmt.Fprintf(tab, "%s\t", cell)
		}
		fmt.Fprintln(tab)
	}
	fmt.Fprint(tab, "holds\t")
	for _, r := range results {
		fmt.Fprintf(tab, "%s\t", map[bool]string{true: "yes", false: "NO"}[r.sustained()])
	}
	fmt.Fprintln(tab)
	if err := tab.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	for _, r := range results {
		for _, p := range r.Problems {
			fmt.Fprintf(w, "at %s msg/s: %s\n", short(r.Offered), p)
		}
	}
	return nil
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
