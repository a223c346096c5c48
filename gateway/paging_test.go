package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func TestPaging(t *testing.T) {
	t.Parallel()
	ask := func(chats ...string) (out []proto.BacklogChat) {
		for _, c := range chats {
			out = append(out, proto.BacklogChat{ChatID: c})
		}
		return out
	}
	p, now := newPaging(), time.Now()
	require.False(t, p.refused(ask("a", "b"), now))
	require.Equal(t, 1, p.chats, "chat by chat")
	for p.limit > 1 {
		was := p.limit
		require.False(t, p.refused(ask("a"), now))
		require.Less(t, p.limit, was)
		require.True(t, p.due("a", now), "a smaller page is due at once")
	}
	require.True(t, p.refused(ask("a"), now))
	require.False(t, p.due("a", now))
	require.True(t, p.due("b", now), "it holds up no other")
	require.Equal(t, backlogPage, p.limit)
	p.answered(ask("b"))
	require.Equal(t, 2, p.chats)
	for pause := backlogAgain; pause < 4*backlogLatest; pause *= 2 {
		next := min(2*pause, backlogLatest)
		now = now.Add(min(pause, backlogLatest))
		require.True(t, p.due("a", now), "%s", pause)
		p.limit = 1
		require.False(t, p.refused(ask("a"), now), "it is said once")
		require.False(t, p.due("a", now.Add(next-1)))
		require.True(t, p.due("a", now.Add(next)))
	}
	now = now.Add(backlogLatest)
	p.answered(ask("a"))
	require.True(t, p.due("a", now))
}

// TestRefusedBacklog: a chat whose pages are refused holds up no other chat, is asked for
// less and less often, and comes once it is not refused any more.
func TestRefusedBacklog(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for _, chat := range []string{"a", "bad", "c"} {
		m.chat.add(chat, "ann")
		for i := range 3 {
			m.chat.say(chat, "x", chat+strconv.Itoa(i))
		}
		m.chat.setDelivered("ann", "phone", chat, 0)
	}
	m.chat.mu.Lock()
	m.chat.refuse = "bad"
	m.chat.mu.Unlock()
	c := m.socketIO("ann", "phone")
	texts := map[string]int{}
	for range 6 {
		text, _ := c.message()
		texts[text[:1]]++
	}
	require.Equal(t, map[string]int{"a": 3, "c": 3}, texts)
	m.chat.say("c", "x", "live")
	text, _ := c.message()
	require.Equal(t, "live", text, "the other chats are live")
	m.chat.mu.Lock()
	refused := m.chat.refused
	m.chat.refuse = ""
	m.chat.mu.Unlock()
	require.Less(t, refused, 20)
	for i := range 3 {
		text, seq := c.message()
		require.Equal(t, "bad"+strconv.Itoa(i), text)
		require.EqualValues(t, i+1, seq)
	}
	m.chat.say("bad", "x", "bad live")
	text, _ = c.message()
	require.Equal(t, "bad live", text)
}

// TestLargeBacklog: what was sent while a device was away comes whatever its size, and then
// what is live.
func TestLargeBacklog(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxQueue = 8 << 20 })
	n := 0
	for _, of := range []struct{ messages, size int }{{5, 60_000}, {30, 10_000}, {100, 2_500}} {
		chat := fmt.Sprint("c", of.size)
		m.chat.add(chat, "ann")
		for range of.messages {
			m.chat.say(chat, "x", strings.Repeat("x", of.size))
			n++
		}
		m.chat.setDelivered("ann", "phone", chat, 0)
	}
	c := m.plain("ann", "phone")
	last := map[int]uint64{}
	for range n {
		text, seq := c.message()
		require.Equal(t, last[len(text)]+1, seq)
		last[len(text)] = seq
	}
	require.Equal(t, map[int]uint64{60_000: 5, 10_000: 30, 2_500: 100}, last)
	m.chat.say("c60000", "x", "live")
	text, seq := c.message()
	require.Equal(t, "live", text)
	require.EqualValues(t, 6, seq)
}

// TestManyChats: a user in 1,700 chats with long ids connects; the answer comes in pages.
func TestManyChats(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	const chats = 1700
	m.chat.mu.Lock()
	m.chat.openPage = 600
	for i := range chats { // without entries of the log: they are members from the beginning
		m.chat.chat(fmt.Sprintf("%s%04d", strings.Repeat("c", 116), i)).members["ann"] = 0
	}
	m.chat.mu.Unlock()
	c := m.socketIO("ann", "phone")
	for _, i := range []int{0, 599, 600, chats - 1} {
		m.chat.say(fmt.Sprintf("%s%04d", strings.Repeat("c", 116), i), "x", strconv.Itoa(i))
		text, _ := c.message()
		require.Equal(t, strconv.Itoa(i), text)
	}
}

// TestReportsAreSplit: what one connection has to tell is split by bytes, however long the
// ids are, and all of it is told.
func TestReportsAreSplit(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.plain("ann", "")
	m.presence.await("ann is known", func() bool { return len(m.presence.here) == 1 })
	s := m.svc.hub.everyone()[0]
	servicestest.Eventually(t, patience, "it has a fence", func() bool { return s.fence.Load() > 0 })
	a := newAnnouncer(m.svc)
	const n = 600
	var watched []string
	for i := range n {
		a.view(servicestest.LongID(i), s, true, true)
		watched = append(watched, servicestest.LongID(i))
	}
	a.watch(s, watched, true)
	a.close(s, time.Now(), true)
	views, watches, closed, reports := 0, 0, 0, 0
	for b := a.take(); len(b.parts) > 0; b = a.take() {
		body, err := wire.Marshal(b.req)
		require.NoError(t, err)
		require.Less(t, len(body), services.MinPayload/2)
		require.NoError(t, b.req.Validate())
		views += len(b.req.Began)
		for _, w := range b.req.Watched {
			watches += len(w.UserIDs)
		}
		closed += len(b.req.Closed)
		reports++
	}
	require.Equal(t, []int{n, n, 1}, []int{views, watches, closed})
	require.Greater(t, reports, 3)
}
