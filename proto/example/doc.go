// Package example holds one fixed value of every row's types.
//
// It is the source of the golden wire files, of the examples in the generated
// documents, and of the check that the two JSON encoders in use agree. A row of
// the catalogue without an example fails a test. Nothing here is read when a
// service runs.
package example
