// Package compat compares the contract with the last released one and names
// every change that an application or an older service could not live with.
//
// The rules: a row, field, enum value or code once released stays; a type never
// changes; a request never asks for more than before (a new or optional field
// does not become required, a bound does not get narrower); an answer or event
// never gives less (a field that was always there stays so). A field marked ‡
// does not change at all. Adding optional fields, rows and codes is fine.
package compat
