// Package contract reads the catalogue of proto into one model that every
// writer of tools/gen starts from: rows, JSON Schema definitions with the
// bounds of the `rule` tags, the comments of the source, and examples.
//
// The same input gives the same model, byte for byte, so that generated files
// can be compared with the committed ones.
package contract
