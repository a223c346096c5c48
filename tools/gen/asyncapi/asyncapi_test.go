package asyncapi_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/tools/gen/asyncapi"
	"supmesh.dev/tools/gen/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFile(t *testing.T) {
	t.Parallel()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	b, err := asyncapi.File(m)
	require.NoError(t, err)
	var doc struct {
		Channels   map[string]any
		Operations map[string]map[string]any
		Codes      []any `json:"x-error-codes"`
	}
	require.NoError(t, json.Unmarshal(b, &doc))
	require.Len(t, doc.Channels, 2)
	require.Len(t, doc.Operations, 2*(len(m.ClientRequests())+len(m.Events)))
	require.Len(t, doc.Codes, len(m.Codes))
	send := doc.Operations["socketio.receive.message.new"]
	require.Equal(t, map[string]any{"requests": 30.0, "windowMs": 60_000.0}, send["x-rate-limit"])
	require.InDelta(t, 15_000, send["x-timeout-ms"], 0)
	require.Equal(t, true, doc.Operations["plain.send.message.new"]["x-durable"])
	require.NotContains(t, string(b), "$defs")
}
