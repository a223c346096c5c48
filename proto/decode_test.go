package proto_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// FuzzRequests decodes any bytes as each request of the catalogue: Validate
// never panics, always says which field, and what it accepts survives another
// trip over the wire.
func FuzzRequests(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.json"))
	require.NoError(f, err)
	for _, path := range files {
		b, err := os.ReadFile(path)
		require.NoError(f, err)
		var parts map[string]json.RawMessage
		require.NoError(f, json.Unmarshal(b, &parts))
		for _, part := range parts {
			f.Add([]byte(part))
		}
	}
	f.Add([]byte(`{"chatId":"c","metadata":null,"forwardFrom":{},"members":[{}],"limit":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, e := range proto.Endpoints {
			_, typ, _ := e.Describe()
			req := reflect.New(typ)
			if json.Unmarshal(data, req.Interface()) != nil {
				continue
			}
			if err := req.Interface().(validator).Validate(); err != nil {
				require.NotEmpty(t, proto.AsError(err).Field, "%s: %v", typ.Name(), err)
				continue
			}
			b, err := json.Marshal(req.Interface())
			require.NoError(t, err)
			again := reflect.New(typ)
			require.NoError(t, json.Unmarshal(b, again.Interface()))
			require.NoError(t, again.Interface().(validator).Validate())
			twice, err := json.Marshal(again.Interface())
			require.NoError(t, err)
			require.Equal(t, string(b), string(twice))
		}
	})
}
