package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// A session gets the answer of one user to a call once, whoever tells it again: the second
// look of signaling, or a question of what may have been missed.
func TestAnAnswerComesOnce(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		s.with(func() { s.events = nil })
		ann := connect("ann", "")
		session := m.svc.hub.sessions("ann")[0]
		answer := func(call, by string) proto.CallAnswer {
			return proto.CallAnswer{CallID: call, AnswererID: by, AnsweredAt: proto.At(time.Now())}
		}
		for range 2 {
			require.NoError(t, services.EmitTo(m.chat.host, proto.CallAnswerEvent, token(t, "ann"), ann.hello.SocketID, answer("c1", "bob")))
		}
		s.says("", "call:answer", "c1", answer("c1", "bob"))
		s.says("", "call:answer", "c1", answer("c1", "cat"))
		require.Equal(t, `"bob"`, field(t, ann.told("call:answer").data, "answererId"))
		m.svc.asker.returned(session, session.id)
		require.Equal(t, `"cat"`, field(t, ann.told("call:answer").data, "answererId"), "of a call of several")
		require.NoError(t, services.EmitTo(m.chat.host, proto.CallAnswerEvent, token(t, "ann"), ann.hello.SocketID, answer("c2", "bob")))
		require.Equal(t, `"c2"`, field(t, ann.told("call:answer").data, "callId"))
		ann.quiet()
		_ = ann.conn.CloseNow()
		m.gone(0)
	})
}
