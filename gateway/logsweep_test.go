package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/servicestest"
)

func swept(c *Config) { c.SweepEvery = 50 * time.Millisecond }

// TestSweepFindsTheLastCopy: a copy that is lost is made up for, though nothing follows it: a message,
// an edit, and what is stored of one user.
func TestSweepFindsTheLastCopy(t *testing.T) {
	t.Parallel()
	m := runMesh(t, swept)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	bob.messages(1, 1)
	hear := m.deafen("c1")
	m.chat.say("c1", "x", "2")
	hear()
	ann.messages(2, 2)
	bob.messages(2, 2)

	hear = m.deafen("c1")
	m.chat.edit("c1", 2, "two")
	hear()
	for _, c := range []*client{ann, bob} {
		g := c.next()
		require.Equal(t, "message:edited", g.event)
	}

	own := m.svc.hub.user(token(t, "ann"))
	own.mu.Lock()
	own.sub.end()
	own.mu.Unlock()
	require.NoError(t, m.host.NATS().Flush())
	m.chat.publish(proto.UserLog(token(t, "ann")), "notification:new", 0, "", []byte(`{"id":"ntf_1"}`))
	g := ann.next()
	require.Equal(t, `"ntf_1"`, field(t, g.data, "id"))
	m.chat.say("c1", "x", "marker")
	ann.messages(3, 3)
	bob.messages(3, 3)
	ann.quiet()
	bob.quiet()
}

// TestSweepFindsALostJoin: a user who is here is made a member of a chat that is not, and the copy is lost.
func TestSweepFindsALostJoin(t *testing.T) {
	t.Parallel()
	m := runMesh(t, swept)
	m.chat.add("other", "ann")
	ann := m.plain("ann", "")
	m.svc.changes.end()
	require.NoError(t, m.host.NATS().Flush())
	m.chat.add("c1", "ann")
	ann.joined("ann")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	ann.quiet()
}

// TestSweepOfAQuietLogAsksNothing: while nothing is stored there is nothing to compare; what
// has passed is not read again.
func TestSweepOfAQuietLogAsksNothing(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	replica := m.nats.Replica(proto.Events.Name)
	w := logSweep{busy: busyLog}
	require.NoError(t, w.once(t.Context(), m.svc))
	before, _ := replica.Asked()
	require.NoError(t, w.once(t.Context(), m.svc))
	require.NoError(t, w.once(t.Context(), m.svc))
	now, _ := replica.Asked()
	require.Equal(t, before, now)

	for range 5 {
		m.chat.say("c1", "x", "y")
	}
	ann.messages(1, 5)
	require.NoError(t, w.once(t.Context(), m.svc))
	now, _ = replica.Asked()
	require.Equal(t, before, now, "copies have a period to come")
	require.NoError(t, w.once(t.Context(), m.svc))
	require.Equal(t, w.head, w.swept)
	now, _ = replica.Asked()
	require.Equal(t, before+1, now, "one page, and no repair")
	require.Zero(t, m.svc.repairs.waiting())
}

// TestSweepOfABusyLog: where much more is stored than topics are here, only their newest entries are
// read, and every change of members.
func TestSweepOfABusyLog(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"current": false, "behind": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := runMesh(t)
			m.chat.add("c1", "ann")
			m.chat.add("elsewhere", "zoe")
			ann := m.plain("ann", "")
			w := logSweep{busy: 1}
			period := func() {
				t.Helper()
				require.NoError(t, w.once(t.Context(), m.svc))
			}
			period()
			if late {
				m.nats.Replica(proto.Events.Name).Hold()
			}
			hear := m.deafen("c1")
			m.chat.say("c1", "x", "1")
			hear()
			m.svc.changes.end()
			require.NoError(t, m.host.NATS().Flush())
			m.chat.add("c2", "ann")
			for range 50 {
				m.chat.say("elsewhere", "zoe", "noise")
			}
			before := m.svc.hub.size()
			period() // copies have a period to come
			require.Zero(t, m.svc.repairs.waiting())
			if late { // a replica that stays behind is asked until the read's deadline
				require.ErrorIs(t, w.once(t.Context(), m.svc), eventlog.ErrUnavailable)
				m.nats.Replica(proto.Events.Name).Release()
			}
			period()
			require.Equal(t, before+1, m.svc.hub.size(), "the chat that ann was added to is here")
			// Entries of two chats have no order between them.
			require.ElementsMatch(t, []string{"chat:member-joined", "message:new"}, []string{ann.next().event, ann.next().event})
			require.Equal(t, w.head, w.swept)
			ann.quiet()
		})
	}
}

// TestSweepByALateReplica: what a replica does not have is compared too.
func TestSweepByALateReplica(t *testing.T) {
	t.Parallel()
	m := runMesh(t, swept)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	m.nats.Replica(proto.Events.Name).Hold()
	hear := m.deafen("c1")
	m.chat.say("c1", "x", "1")
	m.chat.say("c1", "x", "2")
	hear()
	ann.messages(1, 2)
	ann.quiet()
}

// TestLateReplicaRepair: a hole is read in full though the replica that answers does not know what is in it.
func TestLateReplicaRepair(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	m.nats.Replica(proto.Events.Name).Hold()
	hear := m.deafen("c1")
	for range 3 {
		m.chat.say("c1", "x", "lost")
	}
	hear()
	m.chat.say("c1", "x", "shows the hole")
	ann.messages(1, 4)
	bob.messages(1, 4)

	hear = m.deafen("c1")
	m.chat.say("c1", "x", "the last")
	hear()
	m.svc.recheckOn(nil) // nothing says that there is one
	ann.messages(5, 5)
	bob.messages(5, 5)
	ann.quiet()
	bob.quiet()
}

// TestADeletedEntryEndsARepair: what the leader has deleted is not waited for.
func TestADeletedEntryEndsARepair(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	hear := m.deafen("c1")
	m.chat.say("c1", "x", "2")
	m.chat.say("c1", "x", "3")
	hear()
	topic := m.svc.hub.chatOf("c1")
	stream, err := m.chat.host.JetStream().Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), proto.ChatLog("c1", proto.KindMessage))
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), last.Sequence))
	topic.mu.Lock()
	topic.tracks[kindMessage].Suspect(last.Sequence)
	topic.mu.Unlock()
	m.svc.repairs.push(topic)
	ann.messages(2, 2)
	servicestest.Eventually(t, patience, "the repair ends", func() bool {
		topic.mu.Lock()
		defer topic.mu.Unlock()
		return !topic.tracks[kindMessage].Reading()
	})
	m.chat.say("c1", "x", "4")
	ann.messages(4, 4)
}

// TestAPageThatLacksOne: a page may leave a message out only if it says that it is absent.
func TestAPageThatLacksOne(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	for range 5 {
		m.chat.say("c1", "x", "y")
	}
	m.chat.setDelivered("ann", "phone", "c1", 0)
	absent := func(silent bool, seqs ...uint64) {
		m.chat.mu.Lock()
		defer m.chat.mu.Unlock()
		m.chat.silent = silent
		m.chat.chat("c1").absent = map[uint64]bool{}
		for _, seq := range seqs {
			m.chat.chat("c1").absent[seq] = true
		}
	}
	absent(true, 3, 5)
	pages := make(chan struct{}, 100)
	m.chat.mu.Lock()
	m.chat.paged = func() {
		select {
		case pages <- struct{}{}:
		default:
		}
	}
	m.chat.mu.Unlock()
	ann := m.plain("ann", "phone")
	ann.messages(1, 2)
	for range 3 { // asked again, and again
		<-pages
	}
	ann.quiet()
	absent(true, 5)
	ann.messages(3, 4)
	absent(false, 5)
	m.chat.say("c1", "x", "6")
	ann.messages(6, 6)
	ann.quiet()
}
