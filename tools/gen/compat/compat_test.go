package compat_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/tools/gen/compat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const before = `{
 "$ref":"#/$defs/Root","$defs":{
  "Root":{"type":"object","required":["id","kind","chat"],"properties":{
   "id":{"type":"string","x-fixed":true,"minLength":1,"maxLength":128},
   "kind":{"type":"string","enum":["a","b"]},
   "status":{"type":"string","enum":["on","off"],"x-fixed":true},
   "code":{"$ref":"#/$defs/Code","x-fixed":true},
   "chat":{"$ref":"#/$defs/Chat"},
   "note":{"type":"string","maxLength":10},
   "free":{"type":"string"},
   "when":{"type":"string","format":"date-time"},
   "list":{"type":"array","maxItems":5,"items":{"type":"string"}},
   "table":{"type":"object","additionalProperties":{"type":"integer"}}}},
  "Chat":{"type":"object","required":["name"],"properties":{
   "name":{"type":"string"},"seq":{"type":"integer","minimum":0},"parent":{"$ref":"#/$defs/Chat"}}},
  "Code":{"type":"string","enum":["X","Y"]}}}`

func parse(t *testing.T, s string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(s), &v))
	return v
}

// edit is one replacement in the text of before.
type edit struct{ from, to string }

func TestSchemas(t *testing.T) {
	t.Parallel()
	const req, res = compat.Request, compat.Response
	both := []compat.Direction{req, res}
	for _, c := range []struct {
		name string
		in   []compat.Direction
		edit edit
		want string // part of the one change refused, or empty
	}{
		{"nothing", both, edit{}, ""},
		{"description", both, edit{`"free":{"type":"string"}`, `"free":{"type":"string","description":"x"}`}, ""},
		{"new optional field", both, edit{`"free":`, `"more":{"type":"string"},"free":`}, ""},
		{"new code in a shared list", both, edit{`["X","Y"]`, `["X","Y","Z"]`}, ""},
		{"new enum value", both, edit{`["a","b"]`, `["a","b","c"]`}, ""},
		{"wider bound", []compat.Direction{req}, edit{`"maxLength":10`, `"maxLength":20`}, ""},
		{"bound dropped", []compat.Direction{req}, edit{`"maxItems":5,`, ``}, ""},
		{"new required field of an answer", []compat.Direction{res}, edit{`"required":["id","kind","chat"],"properties":{`, `"required":["id","kind","chat","more"],"properties":{"more":{"type":"string"},`}, ""},
		{"optional field of an answer always there", []compat.Direction{res}, edit{`["id","kind","chat"]`, `["id","kind","chat","note"]`}, ""},
		{"required field of a request optional", []compat.Direction{req}, edit{`["id","kind","chat"]`, `["id","chat"]`}, ""},
		{"narrower bound of an answer", []compat.Direction{res}, edit{`"maxLength":10`, `"maxLength":5`}, ""},

		{"field removed", both, edit{`"free":{"type":"string"},`, ``}, "Root.free: field removed"},
		{"field renamed", both, edit{`"free":`, `"freed":`}, "Root.free: field removed"},
		{"nested field removed", both, edit{`"seq":{"type":"integer","minimum":0},`, ``}, "Root.chat.seq: field removed"},
		{"type changed", both, edit{`"free":{"type":"string"}`, `"free":{"type":"integer"}`}, "Root.free: type string changed to integer"},
		{"nested type changed", both, edit{`"seq":{"type":"integer","minimum":0}`, `"seq":{"type":"string"}`}, "Root.chat.seq: type"},
		{"item type changed", both, edit{`"items":{"type":"string"}`, `"items":{"type":"integer"}`}, "Root.list[]: type"},
		{"map value changed", both, edit{`"additionalProperties":{"type":"integer"}`, `"additionalProperties":{"type":"string"}`}, "Root.table[]: type"},
		{"items gone", both, edit{`,"items":{"type":"string"}`, ``}, "Root.list: items changed"},
		{"format changed", both, edit{`"format":"date-time"`, `"format":"date"`}, "Root.when: format"},
		{"enum value removed", both, edit{`["a","b"]`, `["a"]`}, "Root.kind: enum value b removed"},
		{"shared enum value removed", both, edit{`["X","Y"]`, `["X"]`}, "Root.code: enum value Y removed"},
		{"enum opened", []compat.Direction{res}, edit{`"type":"string","enum":["a","b"]`, `"type":"string"`}, "Root.kind: enum removed"},
		{"optional became required", []compat.Direction{req}, edit{`["id","kind","chat"]`, `["id","kind","chat","note"]`}, "Root.note: optional field became required"},
		{"nested optional became required", []compat.Direction{req}, edit{`["name"]`, `["name","seq"]`}, "Root.chat.seq: optional field became required"},
		{"new required field", []compat.Direction{req}, edit{`"required":["id","kind","chat"],"properties":{`, `"required":["id","kind","chat","more"],"properties":{"more":{"type":"string"},`}, "Root.more: new field is required"},
		{"always there became optional", []compat.Direction{res}, edit{`["id","kind","chat"]`, `["id","chat"]`}, "Root.kind: field that was always there became optional"},
		{"narrower maximum", []compat.Direction{req}, edit{`"maxLength":10`, `"maxLength":5`}, "Root.note: maxLength is narrower"},
		{"higher minimum", []compat.Direction{req}, edit{`"minimum":0`, `"minimum":1`}, "Root.chat.seq: minimum is narrower"},
		{"new bound", []compat.Direction{req}, edit{`"free":{"type":"string"}`, `"free":{"type":"string","maxLength":5}`}, "Root.free: maxLength is narrower"},
		{"new pattern", []compat.Direction{req}, edit{`"free":{"type":"string"}`, `"free":{"type":"string","pattern":"^a"}`}, "Root.free: pattern changed"},
		{"new enum", []compat.Direction{req}, edit{`"free":{"type":"string"}`, `"free":{"type":"string","enum":["a"]}`}, "Root.free: enum added"},
		{"‡ bound widened", []compat.Direction{res, req}, edit{`"maxLength":128`, `"maxLength":256`}, "Root.id: ‡ field: maxLength"},
		{"‡ enum grown", both, edit{`["on","off"]`, `["on","off","idle"]`}, "Root.status: ‡ field: enum"},
		{"‡ became optional", both, edit{`["id","kind","chat"]`, `["kind","chat"]`}, "Root.id: ‡ field: required changed"},
		{"‡ mark removed", both, edit{`"type":"string","x-fixed":true,"minLength"`, `"type":"string","minLength"`}, "Root.id: ‡ mark removed"},
	} {
		for _, direction := range c.in {
			t.Run(c.name, func(t *testing.T) {
				require.Contains(t, before, c.edit.from)
				after := strings.Replace(before, c.edit.from, c.edit.to, 1)
				got := compat.Schemas("Root", direction, parse(t, before), parse(t, after))
				if c.want == "" {
					require.Empty(t, got)
					return
				}
				require.Len(t, got, 1)
				require.Contains(t, got[0], c.want)
			})
		}
	}
}

const (
	catalogue = `{"requests":[{"event":"a:b","subject":"rpc.a.b","http":"GET /v1/a","request":"Req","ack":"Ack","idempotent":true}],` +
		`"events":[{"event":"c","payload":"C","durable":true,"offset":true}]}`
	codes = `{"errors":[{"code":"X","retryable":true,"httpStatus":500}],"closes":[{"code":4401,"reconnect":true}]}`
	empty = `{"type":"object"}`
)

func folder(edits ...edit) fs.FS {
	out := fstest.MapFS{}
	for path, text := range map[string]string{
		"catalogue.json": catalogue, "codes.json": codes,
		"json/Req.json": empty, "json/Ack.json": empty, "json/C.json": empty, "json/Failure.json": empty,
	} {
		for _, e := range edits {
			text = strings.Replace(text, e.from, e.to, 1)
		}
		out[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestTables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		edit edit
		want string
	}{
		{"nothing", edit{}, ""},
		{"new row", edit{`"requests":[`, `"requests":[{"subject":"rpc.a.c","request":"Req","ack":"Ack"},`}, ""},
		{"new event", edit{`"events":[`, `"events":[{"event":"d","payload":"C"},`}, ""},
		{"new code", edit{`"errors":[`, `"errors":[{"code":"Z"},`}, ""},
		{"new close code", edit{`"closes":[`, `"closes":[{"code":4402},`}, ""},
		{"client event renamed", edit{`"a:b"`, `"a:c"`}, "a:b: request removed or renamed"},
		{"subject renamed", edit{`"rpc.a.b"`, `"rpc.a.c"`}, "a:b: request removed or renamed"},
		{"route changed", edit{`GET /v1/a`, `GET /v2/a`}, "a:b: route GET /v1/a changed"},
		{"another ack", edit{`"ack":"Ack"`, `"ack":"C"`}, "a:b: payloads"},
		{"no longer idempotent", edit{`"idempotent":true`, `"idempotent":false`}, "a:b: no longer safe to repeat"},
		{"server event renamed", edit{`"event":"c"`, `"event":"d"`}, "c: event removed or renamed"},
		{"another payload", edit{`"payload":"C"`, `"payload":"Ack"`}, "c: payload C changed to Ack"},
		{"no longer durable", edit{`"durable":true`, `"durable":false`}, "c: no longer durable"},
		{"no offset", edit{`"offset":true`, `"offset":false`}, "c: no longer durable"},
		{"code renamed", edit{`"code":"X"`, `"code":"Z"`}, "X: code removed"},
		{"retryable changed", edit{`"retryable":true`, `"retryable":false`}, "X: retryable changed"},
		{"status changed", edit{`500`, `503`}, "X: HTTP status changed"},
		{"close code renumbered", edit{`4401`, `4402`}, "4401: close code removed"},
		{"reconnect changed", edit{`"reconnect":true`, `"reconnect":false`}, "4401: reconnect changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := compat.Check(folder(), folder(c.edit))
			require.NoError(t, err)
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], c.want)
		})
	}
}

func TestPayloadRemoved(t *testing.T) {
	t.Parallel()
	now := folder().(fstest.MapFS)
	delete(now, "json/C.json")
	got, err := compat.Check(folder(), now)
	require.NoError(t, err)
	require.Equal(t, []string{"C: payload removed"}, got)
}

func TestCheckNeedsARelease(t *testing.T) {
	t.Parallel()
	_, err := compat.Check(fstest.MapFS{}, folder())
	require.Error(t, err)
	broken := folder().(fstest.MapFS)
	broken["json/Stray.json"] = &fstest.MapFile{Data: []byte(empty)}
	_, err = compat.Check(broken, folder())
	require.ErrorContains(t, err, "is of no released row")
}
