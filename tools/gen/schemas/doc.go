// Package schemas writes the JSON Schema of each payload (draft 2020-12), one
// file a type with what it refers to inside, and two tables: the catalogue and
// the codes. They are what the compatibility check compares.
package schemas
