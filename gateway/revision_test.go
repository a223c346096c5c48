package gateway

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// edited is the next event, an edit.
func (c *client) edited() (text string, seq uint64) {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, proto.MessageEditedEvent.Name, g.event)
	var e proto.MessageEdited
	g.into(c.t, &e)
	return e.EncryptedContent, e.Seq
}

// opened waits until every session here is served live: an edit before that is
// not sent, since the backlog has the message as it is then.
func (m *mesh) opened() {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		for _, s := range m.svc.hub.everyone() {
			if !s.is(open) {
				return false
			}
		}
		return true
	}, patience, time.Millisecond)
}

// passed waits until an edit has gone by here.
func (m *mesh) passed(chat string, position uint64) {
	m.t.Helper()
	t := m.svc.hub.chat(token(m.t, chat))
	require.NotNil(m.t, t)
	require.Eventually(m.t, func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.tracks[kindEdit].Last() >= position
	}, patience, time.Millisecond)
}

// TestEditReachesEverySocket: also those of who edits.
func TestEditReachesEverySocket(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, phone, bob := m.plain("ann", ""), m.socketIO("ann", "phone"), m.socketIO("bob", "")
	m.opened()
	m.chat.say("c1", "ann", "one")
	m.chat.edit("c1", 1, "two")
	for _, c := range []*client{ann, phone, bob} {
		c.messages(1, 1)
		text, seq := c.edited()
		require.Equal(t, "two", text)
		require.EqualValues(t, 1, seq)
		c.quiet()
	}
}

// TestMissingEditsAreReread: a hole in the edits is seen and read, in order and once.
func TestMissingEditsAreReread(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	m.opened()
	m.chat.say("c1", "x", "0")
	m.chat.edit("c1", 1, "1")
	ann.messages(1, 1)
	text, _ := ann.edited()
	require.Equal(t, "1", text)
	hear := m.deafen("c1")
	for i := 2; i < 20; i++ {
		m.chat.edit("c1", 1, fmt.Sprint(i))
	}
	hear()
	m.chat.edit("c1", 1, "20")
	for i := 2; i <= 20; i++ {
		text, _ := ann.edited()
		require.Equal(t, fmt.Sprint(i), text)
	}
	ann.quiet()

	// Where nothing follows, the look after a reconnect finds it.
	hear = m.deafen("c1")
	m.chat.say("c1", "x", "seen by the message")
	m.chat.edit("c1", 2, "last")
	hear()
	m.svc.recheckOn(nil)
	ann.messages(2, 2)
	text, _ = ann.edited()
	require.Equal(t, "last", text)
	ann.quiet()
}

// TestEditDoesNotOvertakeItsMessage: the edit's copy arrives while the
// message's own is missing and being read.
func TestEditDoesNotOvertakeItsMessage(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	m.opened()
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	topic := m.svc.hub.chat(token(t, "c1"))
	for seq := uint64(2); seq < 30; seq++ {
		hear := m.deafen("c1")
		missed := m.chat.say("c1", "x", "missed")
		hear()
		topic.mu.Lock()
		topic.tracks[kindMessage].Suspect(missed.Position) // as a copy behind the hole would
		topic.mu.Unlock()
		position := m.chat.edit("c1", seq, "edited")
		require.Eventually(t, func() bool { return m.svc.store.backlog() == 0 }, patience, time.Millisecond)
		m.svc.repairs.push(topic)
		m.passed("c1", position)
		ann.messages(seq, seq)
		text, of := ann.edited()
		require.Equal(t, "edited", text)
		require.Equal(t, seq, of)
	}
	ann.quiet()
}

// TestEditOfABacklogUnderWay: a page that was made before an edit, and comes
// after it, does not bring the old content back.
func TestEditOfABacklogUnderWay(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	for i := range 5 {
		m.chat.say("c1", "x", fmt.Sprint("old ", i+1))
	}
	m.chat.setDelivered("ann", "phone", "c1", 0)
	m.chat.mu.Lock()
	m.chat.paged = sync.OnceFunc(func() { m.passed("c1", m.chat.edit("c1", 3, "new")) })
	m.chat.mu.Unlock()
	ann := m.plain("ann", "phone")
	text, seq := ann.edited()
	require.Equal(t, "new", text)
	require.EqualValues(t, 3, seq)
	for i := uint64(1); i <= 5; i++ {
		text, seq := ann.message()
		require.Equal(t, i, seq)
		if seq == 3 {
			require.Equal(t, "new", text)
		} else {
			require.Equal(t, fmt.Sprint("old ", i), text)
		}
	}
	m.chat.say("c1", "x", "live")
	ann.messages(6, 6)
	ann.quiet()
}
