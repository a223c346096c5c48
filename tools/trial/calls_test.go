package trial

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/tools/e2e/mesh"
)

// A call is answered; then the gateway of both users dies, or every process. The call ends, and
// both users can be called again. The test's log tells when the call ended: 30 s after the loss
// of the sockets, or later if the mesh was not up again by then.
func TestTrialCallsEnd(t *testing.T) {
	t.Parallel()
	long.Only(t)
	for name, kill := range map[string]func(t *testing.T, m *mesh.Mesh){
		"gateway":    func(_ *testing.T, m *mesh.Mesh) { m.Gateways[0].Kill() },
		"everything": func(t *testing.T, m *mesh.Mesh) { m.KillAll(); m.StartAll(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := cluster(t)
			ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"))
			bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
			offer, answer := map[string]any{"type": "offer", "sdp": "o"}, map[string]any{"type": "answer", "sdp": "a"}
			require.True(t, ann.Emit(t, "call:initiate", map[string]any{"callId": "c", "targetUserId": "bob", "callType": "audio", "offer": offer}).Success)
			require.True(t, bob.Emit(t, "call:answer", map[string]any{"callId": "c", "answer": answer}).Success)

			killed := time.Now()
			kill(t, m)
			up := time.Since(killed)
			var call proto.CallState
			mesh.Eventually(t, 2*settle, "the call is over", func() bool {
				res := m.AdminAt(t, 1, http.MethodGet, "/v1/calls/c", struct{}{}, nil)
				return res.Status == http.StatusOK && json.Unmarshal([]byte(res.Body), &call) == nil && call.Status == proto.CallOver
			})
			t.Logf("the call ended %.1f s after the kill; the mesh was there after %.1f s", call.EndedAt.Sub(killed).Seconds(), up.Seconds())
			require.Equal(t, proto.EndDisconnected, call.Reason)

			ann = mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "ann", "phone"))
			again := ann.Emit(t, "call:initiate", map[string]any{"callId": "d", "targetUserId": "bob", "callType": "audio", "offer": offer})
			require.True(t, again.Success, "%s", again.Raw)
		})
	}
}
