// Package proto is the contract of the mesh: every event, endpoint, subject,
// stream, key prefix, error code and close code, each as one row of a table.
//
// It owns names and shapes, never behaviour: standard library only, no I/O.
// Payloads are JSON on every wire, so that a body made by the owning service
// passes through NATS and the gateway as bytes. ‡ in a comment marks a field
// that applications in the field depend on: its name, type and meaning are fixed.
//
// A field's `rule` tag says for the generated documents what its Validate
// enforces; tools/gen tests that the two agree. Its words: id, clientId (see
// CheckID, CheckClientID), n=a..b (a number, or how many), bytes=a..b,
// chars=a..b, enum=a|b|c, object, as:Type for what a Raw holds, and each=… for the items
// of a list.
package proto
