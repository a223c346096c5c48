// Package settings writes docs/configuration.md from the structs that the
// programs load their settings into: every variable with its type, unit,
// default and help, as kong reads the tags.
//
// A setting without a variable or a help text is an error, so that none is
// missing from the page.
package settings
