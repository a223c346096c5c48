package rawjson

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Object calls member for each member of an object, in order, with its name and its value
// as they stand. It returns false unless src is exactly one object, white space around it
// allowed; the members before the fault have been given then.
func Object(src []byte, member func(name, value []byte)) bool {
	i := Space(src, 0)
	if i >= len(src) || src[i] != '{' {
		return false
	}
	i = Space(src, i+1)
	for first := true; ; first = false {
		if i >= len(src) {
			return false
		}
		if first && src[i] == '}' {
			return Space(src, i+1) == len(src)
		}
		at, ok := name(src, i)
		if !ok {
			return false
		}
		key, _ := text(src, i)
		end, ok := Value(src, at)
		if !ok {
			return false
		}
		member(src[i:key], src[at:end])
		if i = Space(src, end); i >= len(src) {
			return false
		}
		switch src[i] {
		case '}':
			return Space(src, i+1) == len(src)
		case ',':
			i = Space(src, i+1)
		default:
			return false
		}
	}
}

// Array calls item for each item of an array, in order, with the indices of its first byte
// and behind its last. It returns false unless src is exactly one array, white space around
// it allowed; the items before the fault have been given then.
func Array(src []byte, item func(from, to int)) bool {
	i := Space(src, 0)
	if i >= len(src) || src[i] != '[' {
		return false
	}
	i = Space(src, i+1)
	for first := true; ; first = false {
		if i >= len(src) {
			return false
		}
		if first && src[i] == ']' {
			return Space(src, i+1) == len(src)
		}
		end, ok := Value(src, i)
		if !ok {
			return false
		}
		item(i, end)
		if i = Space(src, end); i >= len(src) {
			return false
		}
		switch src[i] {
		case ']':
			return Space(src, i+1) == len(src)
		case ',':
			i = Space(src, i+1)
		default:
			return false
		}
	}
}

// Text returns what a valid string says; ok is false for any other value. Half of a
// surrogate pair is U+FFFD. The result is a part of value where that has no escapes.
func Text(value []byte) (s []byte, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	s, _ = jsontext.AppendUnquote(nil, value) // an error only reports what it has replaced
	return s, true
}
