// Package openapi writes the OpenAPI 3.1 document of the admin HTTP API: one
// operation a row of the catalogue that has an HTTP route, with the payloads'
// schemas, the codes it can fail with by HTTP status, and examples.
//
// What the gateway does to every row (the token, the Idempotency-Key, the
// bounds of a body) stands here once; the gateway's tests hold it to that.
package openapi
