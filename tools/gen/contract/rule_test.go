package contract

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestApplyRule(t *testing.T) {
	t.Parallel()
	str := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "string"} }
	list := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "array", Items: str()} }
	raw := func() *jsonschema.Schema { return mapped(reflect.TypeFor[proto.Raw]()) }
	for _, c := range []struct {
		rule string
		on   *jsonschema.Schema
		want string
	}{
		{"", str(), `{"type":"string"}`},
		{"id", str(), `{"type":"string","minLength":1,"maxLength":128}`},
		{"clientId", str(), `{"type":"string","pattern":"^[A-Za-z0-9._:-]{1,64}$"}`},
		{"bytes=1..5", str(), `{"type":"string","minLength":1,"maxLength":5,"x-max-bytes":5}`},
		{"chars=..5", str(), `{"type":"string","maxLength":5}`},
		{"bytes=1..", str(), `{"type":"string","minLength":1}`},
		{"enum=a|b", str(), `{"type":"string","enum":["a","b"]}`},
		{"n=..50 each=id", list(), `{"type":"array","maxItems":50,"items":{"type":"string","minLength":1,"maxLength":128}}`},
		{"n=1..9", &jsonschema.Schema{Type: "integer"}, `{"type":"integer","minimum":1,"maximum":9}`},
		{"n=..9", &jsonschema.Schema{Type: "object"}, `{"type":"object","maxProperties":9}`},
		{"object bytes=..8", raw(), `{"type":"object","x-raw":true,"x-max-bytes":8}`},
		{"as:Message", raw(), `{"$ref":"#/$defs/Message"}`},
	} {
		require.NoError(t, applyRule(c.on, c.rule), c.rule)
		b, err := json.Marshal(c.on)
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(b), c.rule)
	}
	for _, bad := range []string{"size=3", "n=3", "n=a..b", "n=-1..2", "each=id", "n=1..2"} {
		require.Error(t, applyRule(str(), bad), bad)
	}
}
