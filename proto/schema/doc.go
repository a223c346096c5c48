// Package schema hands out generated documents of the contract to the programs
// that serve them. Everything else in its folder is generated: `make gen`.
package schema
