package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// While a thousand messages a second flow, members are removed: each has every message before the removal, then
// chat:member-left, and then nothing, on whichever gateway and socket. Edges 21, 22.
func TestRemovalUnderLoad(t *testing.T) {
	t.Parallel()
	const victims, messages = 8, 1600
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 2})
	users := []string{"ann"}
	for i := range victims {
		users = append(users, fmt.Sprintf("victim-%d", i))
	}
	for i := range 4 {
		users = append(users, fmt.Sprintf("writer-%d", i))
	}
	m.PutChat(t, "room", users...)
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	var out []*mesh.Plain // two sockets a victim, one on each gateway
	for i := range victims {
		for g := range 2 {
			out = append(out, mesh.DialPlain(t, m.Gateways[g].URL, mesh.Token(t, fmt.Sprintf("victim-%d", i), fmt.Sprint(g))))
		}
	}
	flow := make(chan error, 4)
	for i := range 4 {
		w := mesh.DialPlain(t, m.Gateways[i%2].URL, mesh.Token(t, fmt.Sprintf("writer-%d", i), ""))
		go func() { // 4 writers, 16 in flight each: over a thousand a second
			var acks []<-chan json.RawMessage
			for n := range messages / 4 {
				acks = append(acks, w.EmitAsync(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "x", "tempId": fmt.Sprintf("t-%d", n)}))
				if len(acks) == 16 {
					if raw := <-acks[0]; !json.Valid(raw) || !mesh.AckOf(raw).Success {
						flow <- fmt.Errorf("writer %d: %s", i, raw)
						return
					}
					acks = acks[1:]
				}
			}
			for _, a := range acks {
				<-a
			}
			flow <- nil
		}()
	}
	for i := range victims {
		ann.Await(t, "message:new", (i+1)*messages/(victims+2))
		status, answer := m.Admin(t, http.MethodDelete, fmt.Sprintf("/v1/chats/room/members/victim-%d", i), nil)
		require.Equal(t, http.StatusOK, status, "%v", answer)
		// Acked, so from here on nothing of theirs is accepted.
		require.Equal(t, "CHAT_NOT_FOUND", out[2*i].Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "too late"}).Code)
	}
	for range 4 {
		require.NoError(t, <-flow)
	}
	ann.Await(t, "message:new", messages)
	require.Len(t, ann.Messages(t), messages, "nothing of a victim was stored")
	for i, v := range out {
		user := fmt.Sprintf("victim-%d", i/2)
		lefts := v.Await(t, "chat:member-left", i/2+1)
		var last struct{ UserID string }
		lefts[len(lefts)-1].Decode(t, &last)
		require.Equal(t, user, last.UserID)
		all := v.Events("")
		end := all[len(all)-1]
		require.Equal(t, "chat:member-left", end.Event, "the last that %s gets", user)
		got := v.Messages(t)
		for n, msg := range got {
			require.EqualValues(t, n+1, msg.Message.Seq, "%s has every message before the removal, in order", user)
		}
		// What ann got before the same removal is what the victim got.
		before := 0
		for _, e := range ann.Events("") {
			if e.Event == "chat:member-left" && string(e.Data) == string(end.Data) {
				break
			}
			if e.Event == "message:new" {
				before++
			}
		}
		require.Len(t, got, before, "%s, socket %d", user, i%2)
	}
}
