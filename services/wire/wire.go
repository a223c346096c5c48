package wire

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"supmesh.dev/proto"
)

// Maps in one order: equal values are equal bytes, which hashes rely on.
var encoding = json.JoinOptions(json.Deterministic(true))

// Marshal encodes v. Nil slices and maps are [] and {}, maps are sorted.
func Marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v, encoding)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// maxPooled is the largest buffer kept for reuse: one huge answer must not pin
// its memory for the life of the process.
const maxPooled = 64 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Append encodes v behind dst.
func Append(dst []byte, v any) ([]byte, error) {
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	err := json.MarshalWrite(buf, v, encoding)
	if err == nil {
		dst = append(dst, buf.Bytes()...)
	}
	if buf.Cap() <= maxPooled {
		buffers.Put(buf)
	}
	if err != nil {
		return dst, fmt.Errorf("encode %T: %w", v, err)
	}
	return dst, nil
}

// Unmarshal decodes data into v; no data at all is the empty object. What it
// refuses is a *proto.Error INVALID_PAYLOAD naming the field. Half of a surrogate pair is
// read as U+FFFD, in values that stay raw too.
func Unmarshal(data []byte, v any) error {
	if len(data) == 0 {
		data = []byte("{}")
	}
	if !shallow(data) {
		return errTooDeep()
	}
	if err := json.Unmarshal(mend(data), v); err != nil {
		return payloadError(err)
	}
	return nil
}

// Canonical is data, one JSON value, in one spelling (RFC 8785): members
// sorted, no space, so that two writings of one request are equal bytes. Only
// integers keep their digits, since beyond 2^53 the RFC would round them. What
// is not JSON stays as it is.
func Canonical(data []byte) []byte {
	v := jsontext.Value(append([]byte(nil), data...))
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		return data
	}
	return v
}

// Compact is data, one JSON value, as short as it can be written: no space, and no escape
// that JSON does not ask for. Its meaning, its order and its numbers stay. What is not JSON
// stays as it is.
func Compact(data []byte) []byte {
	v := jsontext.Value(bytes.Clone(data))
	if err := v.Format(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return data
	}
	return v
}

// Largest is the name of the largest member of an object; empty where data is none.
func Largest(data []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ""
	}
	name, most := "", -1
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return ""
		}
		member := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return ""
		}
		if len(v) > most {
			name, most = member, len(v)
		}
	}
	if len(name) > proto.MaxIDRunes { // names are the client's, and this one goes into an error
		return ""
	}
	return name
}

// Restore decodes what the mesh itself encoded: an answer, an entry of the
// log. There is no limit of depth, since metadata that was just accepted lies
// deeper in what wraps it, and an entry that cannot be read back would stand in
// the way for ever.
func Restore(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, so
// that the result is always valid.
func AppendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			out, err := jsontext.AppendQuote(dst, s)
			if err != nil { // invalid UTF-8, already replaced in out
				return out
			}
			return out
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
