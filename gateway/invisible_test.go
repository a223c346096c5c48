package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// hidden reports whether all sessions of a user on a gateway hide that the user types.
func (m *mesh) hidden(user proto.Token) bool {
	all := m.svc.hub.sessions(user)
	return len(all) > 0 && !slices.ContainsFunc(all, func(s *Session) bool { return !s.hidesTyping(time.Now()) })
}

// marked shows that nothing else has come: the next that the others see is cat typing.
func (m *typingMesh) marked(t *testing.T, thread string) {
	t.Helper()
	m.cat.types(`{"chatId":"c1","threadId":"` + thread + `"}`)
	for _, c := range []*client{m.ann, m.ann2, m.bob, m.bob2} {
		require.Equal(t, thread, c.sees("cat").ThreadID)
	}
}

// TestTypingOfTheInvisible: whichever device made the user invisible, and on whichever
// gateway it is, nobody sees the user type; what is shown ends.
func TestTypingOfTheInvisible(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	m.ann.types(`{"chatId":"c1"}`)
	for _, c := range m.others() {
		c.sees("ann")
	}
	m.ann2.ask("presence:update", `{"status":"offline"}`)
	for _, c := range m.others() {
		c.seesEnd("ann", "disconnected")
	}
	for _, gateway := range []*mesh{m.mesh, m.other} {
		servicestest.Eventually(t, 10*time.Second, "it is known", func() bool { return gateway.hidden("ann") })
	}
	for _, c := range []*client{m.ann, m.ann2} {
		require.Equal(t, proto.TypingRes{ExpiresInMs: 6000, Coalesced: true}, c.types(`{"chatId":"c1","threadId":"secret"}`))
		c.ask("message:stop-typing", `{"chatId":"c1"}`)
	}
	m.marked(t, "1")
	m.ann.ask("presence:update", `{"status":"online"}`)
	servicestest.Eventually(t, 10*time.Second, "it is known", func() bool { return !m.other.hidden("ann") })
	require.False(t, m.ann2.types(`{"chatId":"c1","threadId":"seen"}`).Coalesced)
	for _, c := range m.others() {
		require.Equal(t, "seen", c.sees("ann").ThreadID)
	}
}

// TestTypingWhilePresenceIsAway: what nobody knows is not shown; once presence has been
// told of the connection it is.
func TestTypingWhilePresenceIsAway(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	m.presence.with(func() { m.presence.down = true })
	late := m.plain("ann", "3")
	require.True(t, late.types(`{"chatId":"c1","threadId":"early"}`).Coalesced)
	m.marked(t, "1")
	m.presence.with(func() { m.presence.down = false })
	servicestest.Eventually(t, 20*time.Second, "presence has been told", func() bool {
		return !slices.ContainsFunc(m.svc.hub.sessions("ann"), func(s *Session) bool { return s.hidesTyping(time.Now()) })
	})
	require.False(t, late.types(`{"chatId":"c1","threadId":"now"}`).Coalesced)
	for _, c := range m.others() {
		require.Equal(t, "now", c.sees("ann").ThreadID)
	}
}
