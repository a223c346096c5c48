package proto_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/proto/example"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// A golden file is a JSON object with one part a line, so that the bytes of
// each part can be read off as they stand on the wire.
type part struct {
	name string
	body []byte
}

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	want := map[string][]part{}
	for _, ex := range example.Requests() {
		row, _, _ := ex.Row.Describe()
		parts := []part{{"request", encode(t, ex.Req)}}
		if ex.Or != nil {
			parts = append(parts, part{"or", encode(t, ex.Or)})
		}
		want[fileName(row)] = append(parts, part{"ack", ack(t, ex.Res)})
	}
	for _, ex := range example.Events() {
		row, _ := ex.Row.DescribeEvent()
		want["event."+strings.ReplaceAll(row.Name, ":", ".")] = []part{{"payload", encode(t, ex.Payload)}}
	}
	for _, row := range proto.Codes {
		want["failure"] = append(want["failure"], part{string(row.Code), encode(t, example.Failure(row.Code))})
	}
	dir := filepath.Join("testdata", "golden")
	if *update {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for name, parts := range want {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), layout(parts), 0o644))
		}
	}
	for name, parts := range want {
		got, err := os.ReadFile(filepath.Join(dir, name+".json"))
		require.NoError(t, err, "go test ./proto -update writes it")
		require.Equal(t, string(layout(parts)), string(got), name)
		require.True(t, json.Valid(got), name)
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, len(want), "a golden file without a row")
}

// TestGoldenRequestsDecode: what is on the wire gives back the value.
func TestGoldenRequestsDecode(t *testing.T) {
	t.Parallel()
	for _, ex := range example.Requests() {
		for _, v := range []any{ex.Req, ex.Or, ex.Res} {
			if v != nil {
				roundTrip(t, v)
			}
		}
	}
	for _, ex := range example.Events() {
		roundTrip(t, ex.Payload)
	}
}

func roundTrip(t *testing.T, v any) {
	t.Helper()
	got := reflect.New(reflect.TypeOf(v))
	require.NoError(t, json.Unmarshal(encode(t, v), got.Interface()))
	require.Equal(t, v, got.Elem().Interface())
}

func fileName(row proto.Row) string {
	if row.Subject != "" {
		return row.Subject
	}
	return strings.ReplaceAll(row.Event, ":", ".")
}

// encode is encoding/json made to write what services/wire writes: no escapes
// for HTML, and none for U+2028, which encoding/json escapes whatever is set.
func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(v))
	return bytes.ReplaceAll(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte(`\u2028`), []byte("\u2028"))
}

// ack puts the fields of a response between success and requestId, as the
// chassis does.
func ack(t *testing.T, res any) []byte {
	t.Helper()
	fields := bytes.TrimSuffix(bytes.TrimPrefix(encode(t, res), []byte("{")), []byte("}"))
	return []byte(`{"success":true,` + string(fields) + `,"requestId":"` + example.RequestID + `"}`)
}

func layout(parts []part) []byte {
	var b bytes.Buffer
	for i, p := range parts {
		b.WriteString(map[bool]string{true: "{\n", false: ",\n"}[i == 0])
		b.WriteString(`"` + p.name + `":`)
		b.Write(p.body)
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}
