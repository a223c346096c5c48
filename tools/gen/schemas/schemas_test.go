package schemas_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFilesStandAlone(t *testing.T) {
	t.Parallel()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	files, err := schemas.Files(m)
	require.NoError(t, err)
	require.Len(t, files, len(m.Roots())+2)
	for path, content := range files {
		if !strings.HasPrefix(path, "json/") {
			continue
		}
		var doc struct {
			Ref  string                     `json:"$ref"`
			Defs map[string]json.RawMessage `json:"$defs"`
		}
		require.NoError(t, json.Unmarshal(content, &doc), path)
		for _, ref := range append(reference.FindAllStringSubmatch(string(content), -1), []string{"", strings.TrimPrefix(doc.Ref, "#/$defs/")}) {
			require.Contains(t, doc.Defs, ref[1], path)
		}
	}
}

var reference = regexp.MustCompile(`"\$ref": "#/\$defs/(\w+)"`)

func TestTables(t *testing.T) {
	t.Parallel()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	c := schemas.NewCatalogue(m)
	require.Equal(t, schemas.CatalogueRequest{
		Event: "message:new", Subject: "rpc.chat.send", Request: "SendMessageReq", Ack: "SendMessageAck",
		Limit: &schemas.Limit{Requests: 30, WindowMs: 60_000}, TimeoutMs: 15_000, Idempotent: true,
		Errors: proto.SendMessage.Errors, Summary: c.Requests[0].Summary,
	}, c.Requests[0])
	require.True(t, c.Events[0].Durable)
	require.True(t, c.Events[0].Offset)
	codes := schemas.NewCodes(m)
	require.Len(t, codes.Errors, 28)
	require.Len(t, codes.Closes, len(m.Closes))
}
