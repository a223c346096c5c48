package follow

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// inOrder says that each user was pushed to for each message of each chat once, in
// the order of the chat.
func (w *town) inOrder(chats, each int, users ...string) {
	w.t.Helper()
	at := map[string]int{}
	for _, p := range w.queued() {
		key := p.ChatID + " " + p.UserID
		at[key]++
		require.Equal(w.t, fmt.Sprintf("msg_%s_%d", p.ChatID, at[key]), p.MessageID, key)
	}
	require.Len(w.t, at, chats*len(users))
	for key, n := range at {
		require.Equal(w.t, each, n, key)
	}
}

// A thousand messages in fifty chats; the service is away for a while under load.
func TestNothingIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat"}
	stop := w.decider(50 * time.Millisecond)
	const chats, each = 50, 20
	for k := 1; k <= each; k++ {
		for c := range chats {
			w.say(fmt.Sprintf("c%d", c), uint64(k), func(m *proto.Message) {
				if k%5 == 0 {
					m.Mentions = []string{"dan", "bob"}
				}
			})
		}
		switch k {
		case 7:
			require.NoError(t, stop())
		case 14:
			stop = w.decider(50 * time.Millisecond)
		}
	}
	w.settled()
	w.set(func() { w.members = append(w.members, "dan") })
	mentions := map[string]int{}
	for _, n := range w.made() {
		mentions[n.Key]++
		require.Equal(t, []string{"bob"}, n.UserIDs)
	}
	require.Len(t, mentions, chats*each/5)
	// bob is notified of every fifth, and so gets no push of the message itself.
	var bob, cat int
	last := map[string]uint64{}
	for _, p := range w.queued() {
		if p.UserID == "bob" {
			bob++
		} else {
			cat++
		}
		key := p.ChatID + " " + p.UserID
		require.Less(t, last[key], p.After, "in the order of the chat, each once")
		last[key] = p.After
	}
	require.Equal(t, chats*each*4/5, bob)
	require.Equal(t, chats*each, cat)
}

// Decided, and killed before the ack: another instance decides it again before what
// comes after it, and it stands there once.
func TestKilledBetweenDecisionAndAck(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat"}
	w.killAfter = 7
	w.decider(0)
	for k := 1; k <= 5; k++ {
		for c := range 4 {
			w.say(fmt.Sprintf("c%d", c), uint64(k))
		}
	}
	servicestest.Eventually(t, 10*time.Second, "it is dead", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.killAfter == 0
	})
	w.decider(0)
	w.settled()
	w.inOrder(4, 5, "bob", "cat")
	require.True(t, w.repeated(), "some were decided twice")
}

// repeated says whether a push was queued more than once.
func (w *town) repeated() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.keys {
		if n > 1 {
			return true
		}
	}
	return false
}

// The queue is away in the middle of what is decided, and the service stops and starts.
func TestQueueIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat"}
	w.failAfter = 7 // in the middle of somebody's pushes
	stop := w.decider(0)
	for k := 1; k <= 5; k++ {
		for c := range 4 {
			w.say(fmt.Sprintf("c%d", c), uint64(k))
		}
	}
	servicestest.Eventually(t, 10*time.Second, "the queue is away", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.failing != nil && len(w.keys) > 7
	})
	require.NoError(t, stop())
	w.set(func() { w.failing = nil })
	w.decider(0)
	w.settled()
	w.inOrder(4, 5, "bob", "cat")
	require.True(t, w.repeated(), "some were decided twice")
}

// What is too old for a push still makes its notification.
func TestOldEntriesMakeNotificationsAlone(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob"}
	stop := w.decider(0)
	require.NoError(t, stop())
	at := proto.At(time.Now().Add(100 * time.Millisecond))
	w.say("c", 1, func(m *proto.Message) { m.Mentions = []string{"bob"} })
	w.say("c", 2, func(m *proto.Message) { m.ExpiresAt = &at })
	w.store(proto.UserRing("bob"), proto.IncomingCallEvent.Name, proto.IncomingCall{CallID: "k", CallerID: "ann", ExpiresAt: at})
	servicestest.Eventually(t, 5*time.Second, "their time is over", func() bool { return time.Now().After(at.Time) })
	w.decider(0)
	w.settled()
	require.Len(t, w.made(), 1)
	require.Empty(t, w.queued())
}

func TestWhatIsRefusedIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob"}
	w.failing = proto.Errorf(proto.InvalidPayload, "no")
	w.decider(time.Hour)
	mention := func(m *proto.Message) { m.Mentions = []string{"bob"} }
	w.say("c", 1, mention)
	w.store(proto.ChatLog("c", proto.KindMessage), proto.MessageNew.Name, "no message at all")
	servicestest.Eventually(t, 10*time.Second, "both are given up", func() bool {
		c, err := w.writer.JetStream().Consumer(t.Context(), proto.Events.Name, atOnce.Name)
		return err == nil && c.CachedInfo().AckFloor.Stream >= 2
	})
	w.set(func() { w.failing = errors.New("away") })
	w.say("c", 2, mention)
	w.set(func() { w.failing = nil })
	servicestest.Eventually(t, 10*time.Second, "it is tried again", func() bool { return len(w.made()) == 1 })
}
