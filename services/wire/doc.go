// Package wire is the one place where bytes become values and values bytes:
// JSON by github.com/go-json-experiment/json behind a few functions.
//
// It promises that what Unmarshal and Valid accept is exactly what RFC 7493 (I-JSON) allows:
// no duplicate names, no invalid UTF-8, nesting of at most MaxDepth. Unknown
// fields are ignored, names match by case. Whatever they refuse comes back as a
// *proto.Error INVALID_PAYLOAD that names the field.
package wire
