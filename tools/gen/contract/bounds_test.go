package contract_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
)

// TestBoundsAreWhatValidateEnforces takes each bound of each request's schema,
// goes one step past it and expects Validate to name the field, and up to it
// and expects no complaint about the field. So a `rule` tag cannot drift from
// the code beside it.
func TestBoundsAreWhatValidateEnforces(t *testing.T) {
	t.Parallel()
	m := load(t)
	tried := 0
	for _, r := range m.Requests {
		s := m.Types[r.Req]
		if s.Properties == nil {
			continue
		}
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			for _, step := range steps(m, p.Value) {
				tried++
				t.Run(fmt.Sprintf("%s %s %s", r.Req, p.Key, step.name), func(t *testing.T) {
					err := validate(t, r.Example, r.ReqType, p.Key, step.value)
					if step.ok {
						// Two forms of a request exclude each other: one of them must take it.
						if names(err, p.Key) && r.ExampleOr != nil {
							err = validate(t, r.ExampleOr, r.ReqType, p.Key, step.value)
						}
						require.False(t, names(err, p.Key), "%v", err)
						return
					}
					require.True(t, names(err, p.Key), "got %v", err)
				})
			}
			if slices.Contains(s.Required, p.Key) && p.Value.MinLength != nil {
				require.True(t, names(validate(t, r.Example, r.ReqType, p.Key, nil), p.Key), "%s without %s", r.Req, p.Key)
			}
		}
	}
	require.Greater(t, tried, 60, "the bounds of the catalogue")
}

type step struct {
	name  string
	value any
	ok    bool
}

// steps is values at and past each bound of a field's schema.
func steps(m *contract.Model, s *jsonschema.Schema) (out []step) {
	add := func(name string, ok bool, v any) { out = append(out, step{name, v, ok}) }
	if ref := contract.RefName(s); ref != "" {
		s = m.Types[ref]
	}
	if len(s.Enum) > 0 {
		add("enum", true, s.Enum[len(s.Enum)-1])
		add("past enum", false, "no-such-value")
	}
	if s.Pattern != "" {
		add("pattern", true, "a.b_c:d-1")
		add("past pattern", false, "a b")
	}
	if s.Type == "string" && s.MaxLength != nil {
		add("longest", true, strings.Repeat("x", int(*s.MaxLength)))
		add("too long", false, strings.Repeat("x", int(*s.MaxLength)+1))
	}
	if low, err := strconv.Atoi(string(s.Minimum)); err == nil && low > 0 {
		add("least", true, low)
		add("too little", false, low-1)
		add("zero", false, 0) // is no other way to leave it out
	}
	if high, err := strconv.Atoi(string(s.Maximum)); err == nil {
		add("most", true, high)
		add("too much", false, high+1)
	}
	if s.Items != nil && s.MaxItems != nil {
		add("most items", true, repeat(m, s.Items, int(*s.MaxItems)))
		add("too many items", false, repeat(m, s.Items, int(*s.MaxItems)+1))
	}
	if s.MaxProperties != nil {
		add("most entries", true, entries(int(*s.MaxProperties)))
		add("too many entries", false, entries(int(*s.MaxProperties)+1))
	}
	if s.Extras["x-raw"] == true && s.Type == "object" {
		add("object", true, map[string]any{})
		add("no object", false, []any{})
		add("too big", false, map[string]any{"k": strings.Repeat("x", proto.MaxMetadata)})
	}
	return out
}

// repeat is n smallest items.
func repeat(m *contract.Model, item *jsonschema.Schema, n int) []any {
	var one any = "u"
	if ref := contract.RefName(item); ref != "" {
		o := map[string]any{}
		for _, name := range m.Types[ref].Required {
			p, _ := m.Types[ref].Properties.Get(name)
			o[name] = smallest(m, p)
		}
		one = o
	}
	if len(item.Enum) > 0 {
		one = item.Enum[0]
	}
	return slices.Repeat([]any{one}, n)
}

func smallest(m *contract.Model, s *jsonschema.Schema) any {
	if ref := contract.RefName(s); ref != "" {
		s = m.Types[ref]
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "date-time":
		return "2026-03-09T12:30:05.000Z"
	}
	return map[string]any{"string": "u", "integer": 1, "array": []any{}}[s.Type]
}

func entries(n int) map[string]any {
	out := map[string]any{}
	for i := range n {
		out["k"+strconv.Itoa(i)] = 1
	}
	return out
}

// validate is what Validate says of an example with one field set, or
// taken away where value is nil.
func validate(t *testing.T, example any, typ reflect.Type, field string, value any) error {
	t.Helper()
	b, err := json.Marshal(example)
	require.NoError(t, err)
	var body map[string]any
	require.NoError(t, json.Unmarshal(b, &body))
	if value == nil {
		delete(body, field)
	} else {
		body[field] = value
	}
	b, err = json.Marshal(body)
	require.NoError(t, err)
	req := reflect.New(typ)
	require.NoError(t, json.Unmarshal(b, req.Interface()))
	return req.Interface().(interface{ Validate() error }).Validate()
}

// names says whether err is about the field or something in it.
func names(err error, field string) bool {
	if err == nil {
		return false
	}
	got := proto.AsError(err).Field
	return got == field || strings.HasPrefix(got, field+".") || strings.HasPrefix(got, field+"[")
}
