// Command testlog reads the JSON log of a test run: the slowest packages, the
// tests that failed and those that had not ended. The log of a killed run is
// read as far as it goes.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: testlog FILE")
	}
	f, err := os.Open(args[0]) //nolint:gosec // it reads the file that it is told to
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := read(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", args[0], err)
	}
	l.print(w)
	return nil
}

// shown is how many packages the list of the slowest has.
const shown = 10

// event is one line of the log (go doc test2json).
type event struct {
	Time    time.Time
	Action  string
	Package string
	Test    string
	Elapsed float64
}

// name is a test, or a package where Test is empty.
type name struct{ Package, Test string }

func (n name) String() string { return strings.TrimSuffix(n.Package+" "+n.Test, " ") }

// timed is a name with its time in seconds.
type timed struct {
	name    name
	seconds float64
}

// record is what a log says.
type record struct {
	packages []timed            // that ended
	failed   []name             // tests, and packages without a failed test
	begun    map[name]time.Time // what runs
	last     time.Time
}

// maxLine bounds a line of the log in bytes.
const maxLine = 4 << 20

// read reads a log up to its end or to the first line that is cut off.
func read(r io.Reader) (*record, error) {
	l := &record{begun: map[name]time.Time{}}
	broken := map[string]bool{} // packages with a failed test
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // what a kill cut off, or the output of a build
		}
		n := name{Package: e.Package, Test: e.Test}
		if e.Time.After(l.last) {
			l.last = e.Time
		}
		switch e.Action {
		case "start", "run", "cont":
			l.begun[n] = e.Time
		case "pause": // waits for its turn
			delete(l.begun, n)
		case "pass", "skip", "fail":
			delete(l.begun, n)
			if e.Action == "fail" && (e.Test != "" || !broken[e.Package]) {
				l.failed = append(l.failed, n)
				broken[e.Package] = true
			}
			if e.Test == "" { // its tests have ended, though a panic says so of one only
				maps.DeleteFunc(l.begun, func(n name, _ time.Time) bool { return n.Package == e.Package })
				l.packages = append(l.packages, timed{name: n, seconds: e.Elapsed})
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	return l, nil
}

func (l *record) print(w io.Writer) {
	slices.SortStableFunc(l.packages, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	list(w, "the slowest packages", l.packages[:min(shown, len(l.packages))])

	var open []timed
	for n, began := range l.begun {
		open = append(open, timed{name: n, seconds: l.last.Sub(began).Seconds()})
	}
	slices.SortFunc(open, func(a, b timed) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), strings.Compare(a.name.String(), b.name.String()))
	})
	list(w, "not ended", open)

	if len(l.failed) > 0 {
		_, _ = fmt.Fprintln(w, "── failed")
	}
	for _, n := range l.failed {
		_, _ = fmt.Fprintf(w, "           %s\n", n)
	}
}

func list(w io.Writer, title string, rows []timed) {
	if len(rows) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "──", title)
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%8.1f s  %s\n", r.seconds, r.name)
	}
}
