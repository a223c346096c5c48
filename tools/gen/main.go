// Command gen writes what proto/schema holds: JSON Schemas, the AsyncAPI and
// OpenAPI documents, TypeScript declarations, the API reference and the tables of rows
// and codes, all from the Go types of proto. And it writes
// docs/configuration.md from the configuration structs of the programs.
//
// Without a flag it writes. With -check it writes nothing and fails when a
// committed file differs from what it would write, or when the contract is no
// longer compatible with the last release. With -release it makes the current
// contract the one that later changes are compared with.
//
//go:generate go run . -root ../..
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	check := flag.Bool("check", false, "fail on drift or an incompatible change, write nothing")
	release := flag.Bool("release", false, "make the current contract the released one")
	flag.Parse()
	if err := run(*root, *check, *release); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
