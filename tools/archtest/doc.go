// Package archtest holds the rules of the repository's architecture as tests:
// who may import whom, how files and packages are laid out, what must not
// stand in the tree.
//
// The rules are data in rules_test.go. A change there is a change of the
// architecture and belongs into DECISIONS.md.
package archtest
