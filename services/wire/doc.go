// Package wire is the one place where bytes become values and values bytes:
// JSON by github.com/go-json-experiment/json behind a few functions.
//
// It promises that what Unmarshal hands over is what RFC 7493 (I-JSON) allows: no duplicate
// names, no invalid UTF-8, nesting of at most MaxDepth. One thing is mended and not refused:
// the escape of half a surrogate pair becomes that of U+FFFD, so that no receiver meets it.
// Unknown fields are ignored, names match by case. Whatever is refused comes back as a
// *proto.Error INVALID_PAYLOAD that names the field.
package wire
