package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// What is stored behind a replica that is late is there for every reader of the log.

// late is two instances and a chat whose replica has nothing behind its first three messages.
func late(t *testing.T, change ...func(*Service)) (w *world, a, b *instance, r *servicestest.Replica) {
	t.Helper()
	w = newWorld(t, servicestest.RunRedis(t))
	a, b = w.instance(change...), w.instance(change...)
	a.chat(t, "c", "ann", "bob")
	for i := range 3 {
		a.say(t, "ann", "c", fmt.Sprint(i))
	}
	r = w.nats.Replica(proto.Events.Name)
	r.Hold()
	return w, a, b, r
}

// unprojected keeps Redis from learning of what is stored.
func unprojected(s *Service) { s.project = func(projection.Stored, func(uint64, bool, error)) {} }

func contents(messages []proto.Message) (out []string) {
	for _, m := range messages {
		out = append(out, m.EncryptedContent)
	}
	return out
}

func TestLateReplicaMessages(t *testing.T) {
	t.Parallel()
	want := []string{"0", "1", "2", "3", "4", "5"}
	for name, change := range map[string]func(*Service){"projected": func(*Service) {}, "not projected": unprojected} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, a, b, r := late(t, change)
			for i := 3; i < 6; i++ {
				a.say(t, "ann", "c", fmt.Sprint(i))
			}
			require.Equal(t, want, contents(b.seen(t, "bob", "c")), "history, sync and the device's queue")
			require.EqualValues(t, 6, b.joined(t, "bob", "c").LastSeq)
			_, lacked := r.Asked()
			require.NotZero(t, lacked)
		})
	}
}

func TestLateReplicaHealing(t *testing.T) {
	t.Parallel()
	w, a, b, _ := late(t)
	m := a.say(t, "ann", "c", "3")
	a.say(t, "ann", "c", "4")
	a.change(t, "ann", m, "three")
	flush(t, w.redis)
	require.Equal(t, []string{"0", "1", "2", "three", "4"}, contents(b.seen(t, "bob", "c")))
}

func TestLateReplicaNewChat(t *testing.T) {
	t.Parallel()
	_, a, b, _ := late(t)
	a.chat(t, "new", "eve", "ann")
	a.say(t, "ann", "new", "first")
	opened := b.opened(t, "eve", "phone")
	require.Len(t, opened.Chats, 1)
	require.EqualValues(t, 1, opened.Chats[0].LastSeq)
	require.GreaterOrEqual(t, opened.Position, opened.Chats[0].LastPosition)
	require.Equal(t, []string{"first"}, contents(b.seen(t, "ann", "new")))
}

func TestLateReplicaEdits(t *testing.T) {
	t.Parallel()
	_, a, b, _ := late(t)
	m := a.say(t, "ann", "c", "3")
	a.change(t, "ann", m, "three")
	require.Equal(t, []string{"0", "1", "2", "three"}, contents(b.seen(t, "bob", "c")))
	b.change(t, "ann", m, "drei")
	require.Equal(t, []string{"0", "1", "2", "drei"}, contents(a.seen(t, "bob", "c")))
	b.erase(t, "ann", m, true)
	require.Equal(t, []string{"0", "1", "2", ""}, contents(a.seen(t, "bob", "c")))
}

func TestLateReplicaHidden(t *testing.T) {
	t.Parallel()
	w, a, b, _ := late(t)
	m := a.say(t, "ann", "c", "3")
	a.erase(t, "bob", m, false)
	flush(t, w.redis)
	require.Equal(t, []string{"0", "1", "2"}, contents(b.seen(t, "bob", "c")))
	require.Equal(t, []string{"0", "1", "2", "3"}, contents(b.seen(t, "ann", "c")))
}

// TestLateReplicaRestore: members and cursors that a replica does not have are not forgotten.
func TestLateReplicaRestore(t *testing.T) {
	t.Parallel()
	w, a, _, _ := late(t)
	receipts := w.nats.Replica(proto.Receipts.Name)
	receipts.Hold()
	a.opened(t, "bob", "phone")
	m := a.say(t, "ann", "c", "3")
	a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", MessageID: m.ID})
	a.say(t, "ann", "c", "4")
	_, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", Members: []proto.Member{{UserID: "eve"}}})
	require.NoError(t, err)
	require.NoError(t, a.stop())
	flush(t, w.redis)
	fresh := w.instance()
	heads := fresh.opened(t, "bob", "phone").Chats
	require.Len(t, heads, 1)
	require.EqualValues(t, 4, heads[0].Delivered)
	require.EqualValues(t, 5, heads[0].LastSeq)
	require.False(t, fresh.opened(t, "bob", "phone").NewDevice)
	require.EqualValues(t, 5, fresh.joined(t, "eve", "c").LastSeq, "a member")
}

// TestLateReplicaReferences: whatever names a message that has just come finds it.
func TestLateReplicaReferences(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Service){"projected": func(*Service) {}, "not projected": unprojected} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, a, b, r := late(t, change)
			a.chat(t, "other", "ann", "bob")
			for i := range 20 {
				m := a.say(t, "ann", "c", fmt.Sprint(i))
				_, err := b.find(by(t, proto.Actor{}), proto.FindMessageReq{UserID: "bob", ChatID: "c", MessageID: m.ID})
				require.NoError(t, err, "a reaction")
				found, err := b.find(by(t, proto.Actor{}), proto.FindMessageReq{UserID: "bob", MessageID: m.ID})
				require.NoError(t, err, "a reaction that does not name the chat")
				require.Equal(t, "c", found.ChatID)
				b.change(t, "ann", m, "edited")
				require.Equal(t, m.Seq, b.deliver(t, "bob", "1", proto.DeliveredReq{ChatID: "c", MessageID: m.ID}).UpToSeq)
				_, err = b.send(as(t, "bob"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "reply", ReplyToID: m.ID})
				require.NoError(t, err)
				_, err = b.send(as(t, "bob"), proto.SendMessageReq{
					ChatID: "other", EncryptedContent: "forward", ForwardFrom: &proto.ForwardedFrom{ChatID: "c", MessageID: m.ID},
				})
				require.NoError(t, err)
				m = a.say(t, "ann", "c", "another")
				require.Equal(t, m.Seq, b.reads(t, "bob", "2", proto.ReadReq{ChatID: "c", UpToSeq: m.Seq}).UpToSeq, "not lowered")
				m = a.say(t, "ann", "c", "by id")
				require.Equal(t, m.Seq, b.reads(t, "bob", "2", proto.ReadReq{ChatID: "c", MessageIDs: []string{m.ID}}).UpToSeq)
			}
			none := messageID(time.Now(), 1000, [5]byte{1})
			_, err := b.find(by(t, proto.Actor{}), proto.FindMessageReq{UserID: "bob", ChatID: "c", MessageID: none})
			requireCode(t, proto.MessageNotFound, err)
			_, lacked := r.Asked()
			require.NotZero(t, lacked)
		})
	}
}

func TestLateReplicaUnreached(t *testing.T) {
	t.Parallel()
	_, a, b, _ := late(t, unprojected)
	m := a.say(t, "ann", "c", "3")
	res, err := b.unreached(services.WithCall(by(t, proto.Actor{}), &services.Call{}), proto.UnreachedReq{ChatID: "c", Seq: m.Seq, Limit: 100})
	require.NoError(t, err)
	require.Contains(t, res.UserIDs, "bob")
}
