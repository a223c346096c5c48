package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/proto/example"
	"supmesh.dev/services/wire"
)

// TestWireWritesTheGoldenBytes: the encoder that services use writes exactly
// what proto's own tests have committed, and reads it back.
func TestWireWritesTheGoldenBytes(t *testing.T) {
	t.Parallel()
	for _, ex := range example.Requests() {
		row, _, _ := ex.Row.Describe()
		name := row.Subject
		if name == "" {
			name = strings.ReplaceAll(row.Event, ":", ".")
		}
		golden := readGolden(t, name)
		compareWire(t, name+" request", golden["request"], ex.Req)
		if ex.Or != nil {
			compareWire(t, name+" or", golden["or"], ex.Or)
		}
		fields := bytes.TrimPrefix(golden["ack"], []byte(`{"success":true,`))
		fields = bytes.TrimSuffix(fields, []byte(`,"requestId":"`+example.RequestID+`"}`))
		compareWire(t, name+" ack", []byte("{"+string(fields)+"}"), ex.Res)
	}
	for _, ex := range example.Events() {
		row, _ := ex.Row.DescribeEvent()
		name := "event." + strings.ReplaceAll(row.Name, ":", ".")
		compareWire(t, name, readGolden(t, name)["payload"], ex.Payload)
	}
	failures := readGolden(t, "failure")
	for _, row := range proto.Codes {
		compareWire(t, "failure "+string(row.Code), failures[string(row.Code)], example.Failure(row.Code))
	}
}

func compareWire(t *testing.T, name string, golden []byte, v any) {
	t.Helper()
	got, err := wire.Marshal(v)
	require.NoError(t, err, name)
	require.Equal(t, string(golden), string(got), name)
	back := reflect.New(reflect.TypeOf(v))
	require.NoError(t, wire.Unmarshal(got, back.Interface()), name)
	require.Equal(t, v, back.Elem().Interface(), name)
}

// readGolden is the parts of a golden file, one a line: "name":<bytes>,
func readGolden(t *testing.T, name string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(protoDir, "testdata", "golden", name+".json"))
	require.NoError(t, err)
	out := map[string][]byte{}
	for line := range bytes.Lines(b) {
		part, body, ok := bytes.Cut(bytes.TrimSuffix(bytes.TrimRight(line, "\n"), []byte(",")), []byte(`":`))
		if ok {
			out[string(bytes.TrimPrefix(part, []byte(`"`)))] = body
		}
	}
	return out
}
