package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// openByHand is a session between `connected` and its activation.
func (m *mesh) openByHand(user string) (s *Session, p *countPeer, res proto.OpenRes) {
	m.t.Helper()
	p = &countPeer{sink: sink{p: profilePlain}}
	s, err := m.svc.newSession(p, "by-hand", auth.Identity{User: user, Device: "phone"})
	require.NoError(m.t, err)
	m.t.Cleanup(s.gone)
	res, err = m.svc.prepare(m.t.Context(), s)
	require.NoError(m.t, err)
	return s, p, res
}

// TestWhatPassesBeforeAnActivation: whatever is stored behind the position of
// `connected` comes, also where it passes before the session is served live.
func TestWhatPassesBeforeAnActivation(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	m.chat.add("c2", "ann")
	ann := m.plain("ann", "")
	t.Run("changes and edits", func(t *testing.T) {
		m.chat.say("c1", "ann", "hi")
		ann.messages(1, 1)
		s, p, res := m.openByHand("bob")
		m.chat.add("c1", "cat")
		m.chat.edit("c1", 1, "ho")
		m.chat.remove("c1", "cat")
		for range 3 {
			ann.next()
		}
		m.svc.activate(t.Context(), s, res)
		require.EqualValues(t, 3, p.frames.Load())
		s.gone()
	})
	t.Run("removed", func(t *testing.T) {
		s, p, res := m.openByHand("bob")
		m.chat.remove("c1", "bob")
		m.chat.add("c1", "eve")
		ann.left("bob")
		ann.joined("eve")
		m.svc.activate(t.Context(), s, res)
		require.EqualValues(t, 1, p.frames.Load(), "the removal, and nothing behind it")
		require.Empty(t, s.chats())
		s.gone()
	})
	t.Run("removed and added again", func(t *testing.T) {
		m.chat.add("c1", "bob")
		ann.joined("bob")
		s, p, res := m.openByHand("bob")
		m.chat.remove("c1", "bob")
		m.chat.add("c1", "dan") // not for bob
		m.chat.add("c1", "bob")
		ann.left("bob")
		ann.joined("dan")
		ann.joined("bob")
		m.svc.activate(t.Context(), s, res)
		require.EqualValues(t, 2, p.frames.Load())
		require.Equal(t, []string{"c1"}, s.chats())
		s.gone()
	})
	t.Run("added", func(t *testing.T) {
		s, p, res := m.openByHand("bob")
		m.chat.add("c2", "fay") // not for bob
		m.chat.add("c2", "bob")
		m.chat.add("c2", "gil")
		ann.joined("fay")
		ann.joined("bob")
		ann.joined("gil")
		m.svc.activate(t.Context(), s, res)
		require.EqualValues(t, 2, p.frames.Load())
		require.Equal(t, []string{"c1", "c2"}, s.chats())
		s.gone()
	})
	t.Run("out, in, and out again", func(t *testing.T) {
		m.chat.add("c3", "ann")
		m.chat.add("c3", "bob")
		s, p, res := m.openByHand("bob")
		m.chat.remove("c3", "bob")
		m.chat.add("c3", "bob")
		ann.joined("ann")
		ann.joined("bob")
		ann.left("bob")
		ann.joined("bob")
		m.svc.activate(t.Context(), s, res)
		require.EqualValues(t, 2, p.frames.Load())
		require.Equal(t, []string{"c1", "c2", "c3"}, s.chats())
		m.chat.remove("c3", "bob")
		ann.left("bob")
		servicestest.Eventually(t, patience, "bob is told last, and is out", func() bool {
			return p.frames.Load() == 3 && slices.Equal([]string{"c1", "c2"}, s.chats())
		})
	})
}

// chats is the chats that a session is served from, in order.
func (s *Session) chats() []string {
	var all []string
	for _, t := range s.topicList() {
		if t.chat != "" {
			all = append(all, t.chat)
		}
	}
	slices.Sort(all)
	return all
}

// memberships is what a user is told of a chat behind a position, by the log: the
// changes and edits of each membership, with the one that ends it.
func (m *mesh) memberships(user, chat string, from uint64) (all []membershipOfUser) {
	m.t.Helper()
	who := token(m.t, user)
	var now *membershipOfUser
	for after := uint64(0); ; {
		last, _, err := m.svc.store.read(m.t.Context(), proto.ChatLogAll(token(m.t, chat)), after, 0, func(e *entry) {
			c, err := membershipOf(e)
			require.NoError(m.t, err)
			if now == nil && slices.Contains(c.added, who) {
				now = &membershipOfUser{early: e.position <= from}
			}
			if now != nil && e.position > from && e.event != proto.MessageNew.Name {
				now.add(e.event, e.body)
			}
			if now != nil && slices.Contains(c.removed, who) {
				if len(now.changes) > 0 {
					all = append(all, *now)
				}
				now = nil
			}
		})
		require.NoError(m.t, err)
		if last == after {
			require.NotNil(m.t, now)
			now.lasts = true
			return append(all, *now)
		}
		after = last
	}
}

type membershipOfUser struct {
	changes, edits []string
	early          bool // it began before the position
	lasts          bool // to the end of the test
}

// forget drops what the log has up to a position: live copies may come late.
func (o *membershipOfUser) forget(old []string) {
	for _, all := range []*[]string{&o.changes, &o.edits} {
		*all = slices.DeleteFunc(*all, func(body string) bool { return slices.Contains(old, body) })
	}
}

// upTo is what the log has of a chat up to a position.
func (m *mesh) upTo(chat string, position uint64) (bodies []string) {
	m.t.Helper()
	_, _, err := m.svc.store.read(m.t.Context(), proto.ChatLogAll(token(m.t, chat)), 0, 0, func(e *entry) {
		if e.position <= position {
			bodies = append(bodies, string(e.body))
		}
	})
	require.NoError(m.t, err)
	return bodies
}

func (o *membershipOfUser) add(event string, body []byte) {
	if event == proto.MessageEditedEvent.Name {
		o.edits = append(o.edits, string(body))
		return
	}
	o.changes = append(o.changes, string(body))
}

// TestEachConnectionHasItsPartOfTheLog: while chats change and people come and go in
// them, connections are made at any time. Each gets all changes behind the position
// of its `connected` that its user was a member for, each once, in order.
func TestEachConnectionHasItsPartOfTheLog(t *testing.T) {
	t.Parallel()
	const people, steps = 24, 600
	chats := []string{"c1", "c2", "c3"}
	m := runMesh(t)
	for _, chat := range chats {
		m.chat.add(chat, "author")
		m.chat.say(chat, "author", "first")
	}
	type connection struct {
		user string
		c    *client
	}
	users := make([]string, people)
	starts := make(map[int][]string)
	for i := range users {
		users[i] = fmt.Sprintf("u%d", i)
		at := rand.N(steps)
		starts[at] = append(starts[at], users[i])
	}
	made := make(chan connection, people)
	member := map[string]bool{}
	change := func(chat, user string, want bool) {
		switch key := chat + " " + user; {
		case member[key] == want:
		case want:
			m.chat.add(chat, user)
			member[key] = true
		default:
			m.chat.remove(chat, user)
			member[key] = false
		}
	}
	for step := range steps {
		for _, user := range starts[step] {
			go func() { made <- connection{user, m.plain(user, "phone")} }()
		}
		chat, user := chats[rand.N(len(chats))], users[rand.N(people)]
		switch rand.N(5) {
		case 0:
			m.chat.edit(chat, 1, fmt.Sprint(step))
		case 1: // out and in again, or in and out, as fast as it goes
			change(chat, user, !member[chat+" "+user])
			change(chat, user, !member[chat+" "+user])
		default:
			change(chat, user, !member[chat+" "+user])
		}
	}
	all := make([]connection, people)
	for i := range all {
		all[i] = <-made
	}
	for _, chat := range chats {
		for _, user := range users {
			change(chat, user, true)
		}
		m.chat.edit(chat, 1, "end")
	}
	for _, one := range all {
		from, err := m.svc.sealer.Load().For(one.user).Open(one.c.offset)
		require.NoError(t, err)
		got := map[string]*membershipOfUser{}
		for _, chat := range chats {
			got[chat] = &membershipOfUser{}
		}
		for ends := 0; ends < len(chats); {
			g := one.c.next()
			var about struct{ ChatID, EncryptedContent string }
			g.into(t, &about)
			if g.event == "message:new" {
				continue
			}
			got[about.ChatID].add(g.event, g.data)
			if about.EncryptedContent == "end" {
				ends++
			}
		}
		one.c.quiet()
		for _, chat := range chats {
			m.compare(one.user, chat, from, got[chat])
		}
	}
}

// compare holds what a client got of a chat against the log. Changes and edits are two
// sequences, of which one may overtake the other where a hole was read: so an edit may
// not come before the end of a membership, and then does not come.
func (m *mesh) compare(user, chat string, from uint64, got *membershipOfUser) {
	m.t.Helper()
	var changes []string
	got.forget(m.upTo(chat, from))
	edits := got.edits
	defer func() {
		if m.t.Failed() {
			for _, of := range m.memberships(user, chat, from) {
				m.t.Logf("by the log: %+v", of)
			}
			m.t.Logf("got: %+v", got)
		}
	}()
	for _, of := range m.memberships(user, chat, from) {
		if n := len(of.changes); of.early && !of.lasts && !slices.Contains(got.changes, of.changes[0]) {
			of.changes = of.changes[n-1:] // chat did not list it any more: its end is told
		}
		changes = append(changes, of.changes...)
		for _, edit := range of.edits {
			if of.lasts {
				require.NotEmpty(m.t, edits, "%s in %s, connected at %d: %s", user, chat, from, edit)
				require.Equal(m.t, edit, edits[0], "%s in %s, connected at %d", user, chat, from)
			}
			if len(edits) > 0 && edits[0] == edit {
				edits = edits[1:]
			}
		}
	}
	require.Equal(m.t, changes, got.changes, "%s in %s, connected at %d", user, chat, from)
	require.Empty(m.t, edits, "%s in %s, connected at %d: twice, or out of order", user, chat, from)
}
