package gateway

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/catchup"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// whisper publishes what no stream takes.
func (m *mesh) whisper(subject, event, socket, body string, more ...string) {
	m.t.Helper()
	msg := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: []byte(body)}
	for i, name := range []string{proto.HeaderEvent, proto.HeaderSocket} {
		if v := []string{event, socket}[i]; v != "" {
			msg.Header.Set(name, v)
		}
	}
	for i := 0; i < len(more); i += 2 {
		msg.Header.Set(more[i], more[i+1])
	}
	require.NoError(m.t, m.chat.host.NATS().PublishMsg(msg))
	require.NoError(m.t, m.chat.host.NATS().Flush())
}

func (m *mesh) userTracks(user string) [kinds]catchup.Track {
	m.t.Helper()
	t := m.svc.hub.user(token(m.t, user))
	require.NotNil(m.t, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tracks
}

// TestEphemeral: an event that is not stored reaches the user's sockets in both
// profiles, without an offset, and leaves the user's log where it is.
func TestEphemeral(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann, ann2, bob := m.plain("ann", "1"), m.socketIO("ann", "2"), m.plain("bob", "")
	subject := proto.UserEphemeral(token(t, "ann"))
	before := m.userTracks("ann")

	m.whisper(subject, "message:read", ann.hello.SocketID, `{"seq":1}`)
	m.whisper(subject, "message:read", ann2.hello.SocketID, `{"seq":2}`)
	// Whoever sends it: a position means nothing here.
	m.whisper(subject, "message:read", "", `{"seq":3}`, proto.HeaderStreamSeq, strconv.Itoa(1<<40), proto.HeaderStreamLast, "7")
	m.whisper(subject, "", "", `{"seq":4}`)
	for c, want := range map[*client][]string{ann: {"2", "3"}, ann2: {"1", "3"}} {
		for _, seq := range want {
			g := c.next()
			require.Equal(t, "message:read", g.event)
			require.Equal(t, seq, field(t, g.data, "seq"))
			require.Empty(t, g.offset)
		}
	}
	for _, c := range []*client{ann, ann2, bob} {
		c.quiet()
	}
	require.Equal(t, before, m.userTracks("ann"))

	// The log goes on as if nothing had been.
	for i := range 3 {
		m.chat.publish(proto.UserLog(token(t, "ann")), "notification:new", 0, "", []byte(`{"id":"`+strconv.Itoa(i)+`"}`))
		m.whisper(subject, "message:read", "", `{"seq":5}`)
	}
	for _, c := range []*client{ann, ann2} {
		for i := range 3 {
			g := c.next()
			require.Equal(t, `"`+strconv.Itoa(i)+`"`, field(t, g.data, "id"))
			require.Len(t, g.offset, 22)
			require.Equal(t, "message:read", c.next().event)
		}
		c.quiet()
	}
}

// fullPeer takes nothing.
type fullPeer struct {
	sink
	closed []proto.CloseCode
}

func (*fullPeer) send(*wsconn.Frame) error  { return wsconn.ErrFull }
func (p *fullPeer) close(c proto.CloseCode) { p.closed = append(p.closed, c) }

// TestEphemeralWaitsForNobody: one that has not been greeted gets nothing, and
// a full queue is no reason to close: the event may be lost.
func TestEphemeralWaitsForNobody(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	opening, full, ready := &sink{}, &fullPeer{}, &sink{p: profilePlain}
	for i, p := range []peer{opening, full, ready} {
		s, err := m.svc.newSession(p, "s"+strconv.Itoa(i), auth.Identity{User: "cat"})
		require.NoError(t, err)
		t.Cleanup(s.gone)
		from := uint64(0)
		if i == 0 {
			from = hold
		}
		require.NoError(t, m.svc.hub.withUser(s.user, func(topic *topic) { topic.joinLocked(s, from) }))
	}
	m.svc.live(&entry{subject: proto.UserEphemeral("cat"), event: "message:delivered", body: []byte(`{}`)})
	require.Zero(t, opening.n)
	require.Equal(t, 1, ready.n)
	require.Empty(t, full.closed)
	m.svc.live(&entry{subject: "live.user.cat.log", event: "notification:new", body: []byte(`{}`), position: 5})
	require.Equal(t, []proto.CloseCode{proto.CloseSlowConsumer}, full.closed, "what is stored is not dropped: the client comes back for it")
	m.svc.live(&entry{subject: "live.user.cat.new-kind", event: "some:thing", body: []byte(`{}`), position: 4})
	require.Equal(t, 3, ready.n, "a kind of a later version is passed on")
}
