package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T) *contract.Model {
	t.Helper()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	return m
}

func TestModelHasEveryRow(t *testing.T) {
	t.Parallel()
	m := load(t)
	require.Len(t, m.Requests, len(proto.Endpoints))
	require.Len(t, m.Events, len(proto.ServerEvents))
	for _, name := range m.Roots() {
		require.NotNil(t, m.Types[name], name)
		require.NotEmpty(t, m.Types[name].Description, "%s has no comment", name)
	}
}

func TestEveryAckHasItsEnvelope(t *testing.T) {
	t.Parallel()
	m := load(t)
	for _, r := range m.Requests {
		s := m.Types[r.Ack]
		first, last := s.Properties.Oldest(), s.Properties.Newest()
		require.Equal(t, "success", first.Key, r.Ack)
		require.Equal(t, true, first.Value.Const, r.Ack)
		require.Equal(t, "requestId", last.Key, r.Ack)
		require.Subset(t, s.Required, []string{"success", "requestId"}, r.Ack)
	}
	failure, _ := m.Types[contract.FailureType].Properties.Get("success")
	require.Equal(t, false, failure.Const)
}

// TestFixedFields reads off a few of CONTRACT's ‡ marks: the comments of
// proto's source are where they stand.
func TestFixedFields(t *testing.T) {
	t.Parallel()
	m := load(t)
	for typ, want := range map[string]map[string]bool{
		"SendMessageReq": {"chatId": true, "encryptedContent": true, "messageType": true, "replyToId": true, "metadata": true, "tempId": true, "threadId": false, "ttlSec": false},
		"Message":        {"id": true, "createdAt": true, "status": true, "seq": false, "tempId": true},
		"Sender":         {"id": true, "username": true, "avatar": true},
		"ErrorEvent":     {"message": true, "code": true, "requestId": false},
		"Failure":        {"error": true, "message": true, "code": false},
		"Connected":      {"userId": true, "socketId": true, "pid": false},
	} {
		for field, fixed := range want {
			p, ok := m.Types[typ].Properties.Get(field)
			require.True(t, ok, "%s.%s", typ, field)
			require.Equal(t, fixed, p.Extras["x-fixed"] == true, "%s.%s", typ, field)
			require.NotContains(t, p.Description, "‡", "%s.%s", typ, field)
		}
	}
}

func TestEnumsListEachValueOnce(t *testing.T) {
	t.Parallel()
	for name, def := range load(t).Types {
		if def.Properties == nil {
			continue
		}
		for p := def.Properties.Oldest(); p != nil; p = p.Next() {
			seen := map[any]bool{}
			for _, v := range p.Value.Enum {
				require.False(t, seen[v], "%s.%s: %v twice", name, p.Key, v)
				seen[v] = true
			}
		}
	}
}

func TestLoadNeedsTheSource(t *testing.T) {
	t.Parallel()
	_, err := contract.Load(t.TempDir())
	require.ErrorContains(t, err, "no Go files")
}
