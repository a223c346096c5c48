package wire

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"supmesh.dev/proto"
)

// payloadError turns a decoder's error into the client's: which field, which
// rule, nothing of Go.
func payloadError(err error) *proto.Error {
	var own *proto.Error
	var semantic *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		if errors.As(semantic.Err, &own) {
			return proto.FieldError(fieldName(semantic.JSONPointer), own)
		}
		return about(semantic.JSONPointer, rule(semantic))
	case errors.As(err, &syntax):
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return about(syntax.JSONPointer, "must not stand twice")
		case strings.Contains(syntax.Err.Error(), "UTF-8"):
			return about(syntax.JSONPointer, "must be valid UTF-8")
		}
		return about(syntax.JSONPointer, "must be valid JSON")
	}
	return about("", "must be valid JSON")
}

func about(at jsontext.Pointer, rule string) *proto.Error {
	field := fieldName(at)
	if field == "" {
		return &proto.Error{Code: proto.InvalidPayload, Message: "payload " + rule}
	}
	return &proto.Error{Code: proto.InvalidPayload, Field: field, Message: field + " " + rule}
}

// fieldName writes a JSON pointer (RFC 6901) the way the contract does:
// `/mentions/3` is `mentions[3]`.
func fieldName(at jsontext.Pointer) string {
	var b strings.Builder
	for token := range at.Tokens() {
		if isIndex(token) && b.Len() > 0 {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	const longest = 256 // names are the client's, and go into an error and a log
	if s := b.String(); len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "")
	}
	return b.String()
}

func isIndex(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func rule(e *json.SemanticError) string {
	t := e.GoType
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "has the wrong type"
	}
	// A type with its own decoder says itself what it wants: a time, say.
	if e.JSONKind == '"' && e.Err != nil && t.Kind() == reflect.Struct {
		return e.Err.Error()
	}
	switch t.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "must be a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "must be a whole number, 0 or more"
	case reflect.Float32, reflect.Float64:
		return "must be a number"
	case reflect.Slice, reflect.Array:
		return "must be an array"
	case reflect.Map, reflect.Struct:
		return "must be an object"
	}
	return "has the wrong type"
}
