// Command mutate measures what a package's own tests notice. It makes one test
// binary with all mutants of the package in it, chooses one by an environment
// variable, and counts those that make no test fail. It reads packages; it
// changes no file.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

var errFloor = errors.New("the tests notice too little")

func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	floor := flags.Float64("floor", 80, "least share of mutants that must be noticed, in percent")
	all := flags.Bool("v", false, "print every mutant that nothing notices")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sup-mutate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var weak error
	for i, pattern := range flags.Args() {
		p, err := load(pattern)
		if err != nil {
			return fmt.Errorf("load %s: %w", pattern, err)
		}
		b, err := build(p, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return fmt.Errorf("build %s: %w", pattern, err)
		}
		survivors, err := b.test()
		if err != nil {
			return fmt.Errorf("test %s: %w", pattern, err)
		}
		noticed := 100.0
		if n := len(p.mutants); n > 0 {
			noticed = 100 * float64(n-len(survivors)) / float64(n)
		}
		_, _ = fmt.Fprintf(w, "%5.1f %%  %s: %d of %d mutants unnoticed\n", noticed, p.path, len(survivors), len(p.mutants))
		if *all || noticed < *floor {
			for _, m := range survivors {
				_, _ = fmt.Fprintf(w, "         %s\n", m)
			}
		}
		if noticed < *floor {
			weak = fmt.Errorf("%s: %w: %.1f %%, the floor is %g %%", p.path, errFloor, noticed, *floor)
		}
	}
	return weak
}
