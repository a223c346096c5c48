package proto_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/proto/example"
)

// TestNoRuleCanBeBroken sets each field of each request, at any depth, to each
// value that its rule tag forbids, and expects Validate to name the field.
func TestNoRuleCanBeBroken(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, r := range example.Requests() {
		typ := reflect.TypeOf(r.Req)
		for _, b := range broken(typ, "") {
			tried++
			if errs := tryIn(t, r, b); !slices.ContainsFunc(errs, func(err error) bool { return namesField(err, b.field) }) {
				t.Errorf("%s: %s = %.60v: got %v", typ, b.field, b.value, errs)
			}
		}
	}
	require.Greater(t, tried, 300)
}

// TestEachBoundIsAllowed sets each field to the values at its bounds.
func TestEachBoundIsAllowed(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, r := range example.Requests() {
		typ := reflect.TypeOf(r.Req)
		for f := range fields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			for _, v := range allowed(f.Type, f.Tag.Get("rule")) {
				if text, ok := v.(string); ok && name == "cursor" && strings.HasPrefix(text, "é") {
					continue // cursors are made by the service, of ASCII
				}
				tried++
				b := breach{path: []string{name}, field: name, value: v}
				if errs := tryIn(t, r, b); !slices.ContainsFunc(errs, func(err error) bool { return !namesField(err, name) }) {
					t.Errorf("%s: %s = %.60v: got %v", typ, name, v, errs)
				}
			}
		}
	}
	require.Greater(t, tried, 150)
}

// tryIn validates the forms of a request, which exclude each other, with one value set.
func tryIn(t *testing.T, r example.Request, b breach) (errs []error) {
	t.Helper()
	for _, form := range []any{r.Req, r.Or} {
		if form != nil {
			body := plain(t, form)
			set(body, b.path, b.value)
			errs = append(errs, validated(t, reflect.TypeOf(r.Req), body))
		}
	}
	return errs
}

// breach is one value that a rule forbids.
type breach struct {
	path  []string // JSON names from the request to the value
	field string   // what the error names
	value any
}

// broken lists the breaches of a type and of the structs in it.
func broken(t reflect.Type, parent string) (out []breach) {
	for f := range fields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		list := inner.Kind() == reflect.Slice && inner.Elem().Kind() != reflect.Uint8
		for inner.Kind() == reflect.Pointer || list && inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		field := join(parent, name)
		for _, v := range forbidden(f.Type, f.Tag.Get("rule"), strings.Contains(options, "omit")) {
			out = append(out, breach{path: []string{name}, field: field + v.at, value: v.value})
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == t.PkgPath() && !isOpaque(inner) {
			for _, b := range broken(inner, field) {
				path := []string{name}
				if list {
					path = append(path, "0")
				}
				out = append(out, breach{path: append(path, b.path...), field: b.field, value: b.value})
			}
		}
	}
	return out
}

func join(parent, name string) string { return strings.TrimPrefix(parent+"."+name, ".") }

// isOpaque is of types that are one value in JSON.
func isOpaque(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// fields are the fields of a struct, those of embedded ones among them.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous && f.IsExported() && f.Tag.Get("json") != "-" && !yield(f) {
				return
			}
		}
	}
}

// wrong is a forbidden value, and which item of a list is wrong ("[1]").
type wrong struct {
	at    string
	value any
}

// forbidden lists values that a rule tag forbids. The zero value of an optional
// field is its absence, which is allowed.
func forbidden(t reflect.Type, rule string, optional bool) (out []wrong) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	add := func(values ...any) {
		for _, v := range values {
			out = append(out, wrong{value: v})
		}
	}
	for word := range strings.FieldsSeq(rule) {
		name, arg, _ := strings.Cut(word, "=")
		low, high := limits(arg)
		switch name {
		case "id":
			add(strings.Repeat("x", proto.MaxIDRunes+1), "a\n", "\x00")
			if !optional {
				add("")
			}
		case "clientId":
			add(strings.Repeat("x", 65), "a b", "é", "a\n")
			if !optional {
				add("")
			}
		case "enum":
			add("no-such-value", strings.ToUpper(strings.Split(arg, "|")[0]))
		case "object":
			add([]any{1}, "text", 1)
		case "bytes", "chars":
			if high >= 0 && t.Kind() == reflect.String {
				add(strings.Repeat("x", high+1))
			}
			if high >= 0 && t.Kind() != reflect.String {
				add(map[string]any{"k": strings.Repeat("x", high)})
			}
			if name == "bytes" && high > 0 && t.Kind() == reflect.String {
				add(strings.Repeat("é", high/2+1))
			}
			if name == "chars" && high > 0 {
				add(strings.Repeat("é", high+1))
			}
			if low > 0 && !optional {
				add("")
			}
		case "n":
			switch t.Kind() {
			case reflect.Slice:
				if high >= 0 {
					add(items(t.Elem(), high+1))
				}
				if low > 0 && !optional {
					add([]any{})
				}
			case reflect.Map:
				add(entries(high + 1))
			default:
				if high >= 0 {
					add(high + 1)
				}
				if low > 1 || low == 1 && !optional {
					add(low - 1)
				}
				if t.Kind() == reflect.Int && low >= 0 {
					add(-1)
				}
			}
		case "each":
			if strings.HasPrefix(arg, "as:") {
				continue
			}
			for _, v := range forbidden(t.Elem(), arg, false) {
				out = append(out, wrong{at: "[0]", value: []any{v.value}})
			}
		}
	}
	return out
}

// allowed lists the values at the bounds of a rule.
func allowed(t reflect.Type, rule string) (out []any) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for word := range strings.FieldsSeq(rule) {
		name, arg, _ := strings.Cut(word, "=")
		low, high := limits(arg)
		switch name {
		case "id":
			out = append(out, strings.Repeat("é", proto.MaxIDRunes), "x")
		case "clientId":
			out = append(out, strings.Repeat("x", 64), "a.b_c:d-1")
		case "enum":
			for v := range strings.SplitSeq(arg, "|") {
				out = append(out, v)
			}
		case "bytes", "chars":
			if t.Kind() == reflect.String && high > 0 {
				out = append(out, strings.Repeat("x", high), strings.Repeat("x", max(low, 1)))
			}
			if t.Kind() == reflect.String && high > 0 && name == "chars" {
				out = append(out, strings.Repeat("é", high))
			}
		case "n":
			switch {
			case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String && !strings.Contains(rule, "enum"):
				out = append(out, items(t.Elem(), high), items(t.Elem(), max(low, 1)))
			case t.Kind() == reflect.Map:
				out = append(out, entries(high))
			case t.Kind() == reflect.Int:
				out = append(out, high, max(low, 1))
			}
		}
	}
	return out
}

func entries(n int) map[string]any {
	out := map[string]any{}
	for i := range n {
		out["k"+strconv.Itoa(i)] = 1
	}
	return out
}

// items is a list of n smallest values.
func items(t reflect.Type, n int) []any {
	var one any = "u"
	if t.Kind() == reflect.Struct {
		one = map[string]any{}
	}
	out := make([]any, n)
	for i := range out {
		out[i] = one
	}
	return out
}

// limits reads a..b; -1 is no limit.
func limits(arg string) (low, high int) {
	a, b, _ := strings.Cut(arg, "..")
	low, high = -1, -1
	if n, err := strconv.Atoi(a); err == nil {
		low = n
	}
	if n, err := strconv.Atoi(b); err == nil {
		high = n
	}
	return low, high
}

func plain(t *testing.T, example any) map[string]any {
	t.Helper()
	b, err := json.Marshal(example)
	require.NoError(t, err)
	var body map[string]any
	require.NoError(t, json.Unmarshal(b, &body))
	return body
}

// set puts a value at a path; what is missing on the way is made.
func set(body map[string]any, path []string, value any) {
	for i, name := range path {
		if i == len(path)-1 {
			body[name] = value
			return
		}
		if path[i+1] == "0" {
			list, _ := body[name].([]any)
			if len(list) == 0 {
				list = []any{map[string]any{}}
			}
			item, _ := list[0].(map[string]any)
			if item == nil {
				item = map[string]any{}
			}
			list[0], body[name] = item, list
			set(item, path[i+2:], value)
			return
		}
		next, _ := body[name].(map[string]any)
		if next == nil {
			next = map[string]any{}
			body[name] = next
		}
		body = next
	}
}

// validated is what decoding into a type, or its Validate, says of a body.
func validated(t *testing.T, typ reflect.Type, body map[string]any) error {
	t.Helper()
	b, err := json.Marshal(body)
	require.NoError(t, err)
	req := reflect.New(typ)
	if err := json.Unmarshal(b, req.Interface()); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	v, ok := req.Interface().(interface{ Validate() error })
	if !ok {
		return fmt.Errorf("%s has no Validate", typ)
	}
	return v.Validate()
}

// namesField says whether err names the field or what it stands in; the index of a
// list's item may be there or not.
func namesField(err error, field string) bool {
	if err == nil {
		return false
	}
	got := strings.ReplaceAll(proto.AsError(err).Field, "[0]", "")
	field = strings.ReplaceAll(field, "[0]", "")
	return got != "" && (got == field || strings.HasPrefix(field, got+"."))
}
