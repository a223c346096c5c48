package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// While clients come and go presence stands still, so that requests are repeated:
// nobody who has left is shown online or as an active member afterwards.
func TestNobodyStaysWhoHasLeft(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Presence: 2, Env: map[string]string{"PRESENCE_GRACE": "1s"}})
	const clients = 200
	for round, pause := range []time.Duration{500 * time.Millisecond, seconds, 3 * seconds} {
		chat := fmt.Sprint("room", round)
		users := make([]string, clients)
		for i := range users {
			users[i] = fmt.Sprintf("%s-u%d", chat, i)
		}
		m.PutChat(t, chat, append([]string{"eve"}, users...)...)
		frozen := m.Presence[round%2]
		frozen.Signal(t, syscall.SIGSTOP)
		thaw := time.AfterFunc(pause, func() { _ = syscall.Kill(frozen.PID(), syscall.SIGCONT) })
		const atOnce = 40
		var here []*mesh.Plain
		for i, user := range users {
			c := mesh.OpenPlain(t, m.Gateways[0].URL, mesh.Token(t, user, ""))
			if i%2 == 0 {
				c.EmitAsync(t, "chat:join", map[string]any{"chatId": chat})
			}
			if here = append(here, c); len(here) > atOnce {
				here[0].Drop()
				here = here[1:]
			}
		}
		for _, c := range here {
			c.Drop()
		}
		thaw.Stop()
		frozen.Signal(t, syscall.SIGCONT)

		eve := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "eve", ""))
		mesh.Eventually(t, 60*seconds, fmt.Sprintf("nobody is online after a pause of %s", pause), func() bool {
			for _, user := range users {
				answer := m.AdminAt(t, 0, http.MethodGet, "/v1/users/"+user+"/presence", struct{}{}, nil)
				var is proto.PresenceState
				if answer.Status != http.StatusOK || json.Unmarshal([]byte(answer.Body), &is) != nil || is.Status != proto.StatusOffline {
					return false
				}
			}
			var active proto.ActiveMembersRes
			ack := eve.Emit(t, "chat:get-active-members", map[string]any{"chatId": chat})
			return ack.Success && json.Unmarshal(ack.Raw, &active) == nil && active.Count == 0
		})
		eve.Drop()
	}
}
