package chat

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// model is what a chat, its members and their devices should be, in plain
// data. Time is the number of things that happened.
type model struct {
	now      int
	messages []modelMessage      // index: seq − 1
	joined   map[string]int      // member → when
	stays    map[string][][2]int // user → memberships that are over: after which moment, up to which
	read     map[string]uint64   // user → seq
	hidden   map[string]bool     // "user/seq"
	devices  map[string]int      // user/device → when first seen
	cursors  map[string]uint64
	sent     map[string]modelMessage // tempId → message
}

type modelMessage struct {
	seq  uint64
	by   string
	when int
	text string
	id   string
	gone bool
}

// TestModel does at random what clients, backends and faults do, on two
// instances, and holds what each device is owed against the model.
func TestModel(t *testing.T) {
	t.Parallel()
	old := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", "15"))
	t.Cleanup(func() { _ = flag.Set("rapid.checks", old) })
	w := newWorld(t, servicestest.RunRedis(t))
	both := []*instance{w.instance(), w.instance()}
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		chat := fmt.Sprintf("chat-%d", run)
		user := rapid.Map(rapid.SampledFrom([]string{"ann", "bob", "cat"}), func(u string) string { return fmt.Sprintf("%s-%d", u, run) })
		device := rapid.SampledFrom([]string{"phone", "desk"})
		m := model{joined: map[string]int{}, stays: map[string][][2]int{}, read: map[string]uint64{}, hidden: map[string]bool{}, devices: map[string]int{}, cursors: map[string]uint64{}, sent: map[string]modelMessage{}}
		both[0].chat(t, chat)
		at := func() *instance { return rapid.SampledFrom(both).Draw(r, "instance") }

		r.Repeat(map[string]func(*rapid.T){
			"add": func(r *rapid.T) {
				u := user.Draw(r, "user")
				_, err := at().addMembers(backend(t), proto.AddMembersReq{ChatID: chat, UserID: u})
				require.NoError(r, err)
				if _, is := m.joined[u]; !is {
					m.now++
					m.joined[u] = m.now
				}
			},
			"remove": func(r *rapid.T) {
				u := user.Draw(r, "user")
				_, err := at().removeMember(backend(t), proto.RemoveMemberReq{ChatID: chat, UserID: u})
				require.NoError(r, err)
				if at, is := m.joined[u]; is {
					m.stays[u] = append(m.stays[u], [2]int{at, m.now})
				}
				delete(m.joined, u)
			},
			"send":           func(r *rapid.T) { m.send(t, r, at(), chat, user.Draw(r, "user"), device.Draw(r, "device")) },
			"send and crash": func(r *rapid.T) { m.sendAndCrash(t, r, at(), chat, user.Draw(r, "user"), device.Draw(r, "device")) },
			"deliver": func(r *rapid.T) {
				u, d := user.Draw(r, "user"), device.Draw(r, "device")
				seq := rapid.Uint64Range(1, uint64(len(m.messages)+2)).Draw(r, "seq")
				res, err := at().delivered(as(t, u, d), proto.DeliveredReq{ChatID: chat, UpToSeq: seq})
				if _, is := m.joined[u]; !is {
					requireCode(t, proto.ChatNotFound, err)
					return
				}
				require.NoError(r, err)
				m.cursors[u+"/"+d] = max(m.cursors[u+"/"+d], min(seq, uint64(len(m.messages))))
				require.Equal(r, m.cursors[u+"/"+d], res.UpToSeq)
			},
			"read": func(r *rapid.T) {
				u := user.Draw(r, "user")
				seq := rapid.Uint64Range(1, uint64(len(m.messages)+2)).Draw(r, "seq")
				res, err := at().read(as(t, u, "desk"), proto.ReadReq{ChatID: chat, UpToSeq: seq})
				if _, is := m.joined[u]; !is {
					requireCode(t, proto.ChatNotFound, err)
					return
				}
				require.NoError(r, err)
				m.read[u] = max(m.read[u], min(seq, uint64(len(m.messages))))
				m.cursors[u+"/desk"] = max(m.cursors[u+"/desk"], min(seq, uint64(len(m.messages))))
				require.Equal(r, m.unread(u), res.UnreadCount)
			},
			"delete": func(r *rapid.T) { m.erase(t, r, at(), chat, user.Draw(r, "user")) },
			"join": func(r *rapid.T) {
				u := user.Draw(r, "user")
				res, err := at().join(as(t, u), proto.JoinChatReq{ChatID: chat})
				if _, is := m.joined[u]; !is {
					requireCode(t, proto.ChatNotFound, err)
					return
				}
				require.NoError(r, err)
				require.Equal(r, m.unread(u), res.UnreadCount)
			},
			"flush":   func(*rapid.T) { flush(t, w.redis) },
			"connect": func(r *rapid.T) { m.connect(t, r, at(), chat, user.Draw(r, "user"), device.Draw(r, "device")) },
		})
	})
}

func (m *model) send(t *testing.T, r *rapid.T, i *instance, chat, user, device string) {
	tempID := rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(r, "tempId")
	text := rapid.SampledFrom([]string{"x", "y"}).Draw(r, "text")
	res, err := i.send(as(t, user, device), proto.SendMessageReq{ChatID: chat, EncryptedContent: text, TempID: tempID})
	before, repeated := m.sent[user+tempID]
	switch _, is := m.joined[user]; {
	case !is:
		requireCode(t, proto.ChatNotFound, err)
	case tempID != "" && repeated && before.text != text:
		requireCode(t, proto.Conflict, err)
	case tempID != "" && repeated:
		require.NoError(r, err)
		require.True(r, res.Duplicate)
		require.Equal(r, before.seq, res.Message.Seq)
	default:
		require.NoError(r, err)
		require.False(r, res.Duplicate)
		m.now++
		sent := modelMessage{seq: uint64(len(m.messages) + 1), by: user, when: m.now, text: text, id: res.Message.ID}
		require.Equal(r, sent.seq, res.Message.Seq)
		m.messages = append(m.messages, sent)
		m.read[user] = sent.seq
		if tempID != "" {
			m.sent[user+tempID] = sent
		}
	}
}

// sendAndCrash is a send whose instance dies before it has told Redis.
func (m *model) sendAndCrash(t *testing.T, r *rapid.T, i *instance, chat, user, device string) {
	project := i.project
	i.project = func(projection.Stored, func(uint64, bool, error)) {}
	defer func() { i.project = project }()
	m.send(t, r, i, chat, user, device)
}

// connect opens a device and reads its backlog: all it is owed, in order, and
// nothing that it was not owed. Its own messages may come or not.
func (m *model) connect(t *testing.T, r *rapid.T, i *instance, chat, user, device string) {
	key := user + "/" + device
	if _, known := m.devices[key]; !known {
		m.devices[key] = m.now
	}
	got := map[uint64]bool{}
	for _, it := range i.drain(t, user, device, rapid.IntRange(1, 4).Draw(r, "page")) {
		require.Equal(r, chat, it.ChatID)
		got[it.Seq] = true
	}
	_, is := m.joined[user]
	for _, msg := range m.messages {
		owed := is && msg.seq > m.cursors[key] && msg.when > m.devices[key] && m.was(user, msg.when) && !m.hidden[fmt.Sprint(user, "/", msg.seq)]
		switch {
		case owed && msg.by != user:
			require.True(r, got[msg.seq], "%s is owed %d", key, msg.seq)
		case !owed:
			require.False(r, got[msg.seq], "%s is not owed %d", key, msg.seq)
		}
	}
}

// was says whether a user was a member at a moment.
func (m *model) was(user string, when int) bool {
	if at, is := m.joined[user]; is && when > at {
		return true
	}
	return slices.ContainsFunc(m.stays[user], func(stay [2]int) bool { return when > stay[0] && when <= stay[1] })
}

// unread is what history would show behind the read cursor of a member.
func (m *model) unread(user string) (n uint64) {
	for _, msg := range m.messages {
		if msg.seq > m.read[user] && m.was(user, msg.when) && !msg.gone && !m.hidden[fmt.Sprint(user, "/", msg.seq)] {
			n++
		}
	}
	return n
}

// erase deletes a message, for everyone where the user sent it, else for the user alone.
func (m *model) erase(t *testing.T, r *rapid.T, i *instance, chat, user string) {
	if len(m.messages) == 0 {
		return
	}
	at := rapid.IntRange(0, len(m.messages)-1).Draw(r, "index")
	msg := &m.messages[at]
	_, err := i.deleteMessage(as(t, user), proto.DeleteReq{ChatID: chat, MessageID: msg.id, ForEveryone: msg.by == user})
	switch _, is := m.joined[user]; {
	case !is:
		requireCode(t, proto.ChatNotFound, err)
		return
	case msg.by == user:
		msg.gone = true
	default:
		m.hidden[fmt.Sprint(user, "/", msg.seq)] = true
	}
	require.NoError(r, err)
}
