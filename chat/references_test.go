package chat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestReferences(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob")
		a.chat(t, "d", "bob", "cat")
		a.chat(t, "e", "cat")
		mine, gone := a.say(t, "ann", "c", "one"), a.say(t, "ann", "c", "gone")
		theirs, secret, lost := a.say(t, "cat", "d", "to forward"), a.say(t, "cat", "e", "secret"), a.say(t, "cat", "d", "lost")
		a.erase(t, "ann", gone, true)
		a.erase(t, "cat", lost, true)
		send := func(i *instance, user string, change func(*proto.SendMessageReq)) (proto.Message, error) {
			req := proto.SendMessageReq{ChatID: "c", EncryptedContent: "x"}
			change(&req)
			res, err := i.send(as(t, user), req)
			return res.Message, err
		}
		forward := func(chat, id string) func(*proto.SendMessageReq) {
			return func(r *proto.SendMessageReq) {
				r.ForwardFrom = &proto.ForwardedFrom{ChatID: chat, MessageID: id, SenderID: "forged"}
			}
		}
		for _, refused := range []struct {
			why, user, field string
			change           func(*proto.SendMessageReq)
		}{
			{"a reply to what is deleted", "ann", "replyToId", func(r *proto.SendMessageReq) { r.ReplyToID = gone.ID }},
			{"a reply elsewhere", "bob", "replyToId", func(r *proto.SendMessageReq) { r.ReplyToID = theirs.ID }},
			{"a thread elsewhere", "bob", "threadId", func(r *proto.SendMessageReq) { r.ThreadID = theirs.ID }},
			{"a thread on nothing", "ann", "threadId", func(r *proto.SendMessageReq) { r.ThreadID = "topic" }},
			{"of a foreign chat", "ann", "forwardFrom.messageId", forward("d", theirs.ID)},
			{"of a foreign chat, member of another", "bob", "forwardFrom.messageId", forward("e", secret.ID)},
			{"of no chat", "bob", "forwardFrom.messageId", forward("none", theirs.ID)},
			{"of another chat than it says", "bob", "forwardFrom.messageId", forward("c", theirs.ID)},
			{"of what is deleted", "bob", "forwardFrom.messageId", forward("d", lost.ID)},
			{"of what never was", "bob", "forwardFrom.messageId", forward("d", messageID(time.Now(), 1, [5]byte{7}))},
		} {
			for _, i := range []*instance{a, b} {
				_, err := send(i, refused.user, refused.change)
				requireField(t, proto.MessageNotFound, refused.field, err, refused.why)
			}
		}
		require.Len(t, a.seen(t, "bob", "c"), 2, "nothing was stored")

		m, err := send(b, "bob", func(r *proto.SendMessageReq) {
			r.ReplyToID, r.ThreadID, r.Mentions = mine.ID, gone.ID, []string{"ann", "eve", "ann", "bob"}
			forward("d", theirs.ID)(r)
		})
		require.NoError(t, err)
		require.Equal(t, &proto.ForwardedFrom{ChatID: "d", MessageID: theirs.ID, SenderID: "cat"}, m.ForwardedFrom, "the server knows who said it")
		require.Equal(t, []string{"ann", "bob"}, m.Mentions, "members, each once")
		require.Equal(t, []string{mine.ID, gone.ID}, []string{m.ReplyToID, m.ThreadID})
		all := a.seen(t, "ann", "c")
		require.Equal(t, m, all[2])

		m, err = send(a, "ann", func(r *proto.SendMessageReq) { r.Mentions = []string{"eve"} })
		require.NoError(t, err, "a mention that is out of date loses no message")
		require.Nil(t, m.Mentions)
		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "d", UserID: "bob"})
		require.NoError(t, err)
		_, err = send(b, "bob", forward("d", theirs.ID))
		requireField(t, proto.MessageNotFound, "forwardFrom.messageId", err, "no member any more")

		// A roster that was lost loses no mention.
		flush(t, redis)
		m, err = send(b, "ann", func(r *proto.SendMessageReq) { r.Mentions = []string{"bob"} })
		require.NoError(t, err)
		require.Equal(t, []string{"bob"}, m.Mentions)
	})
}

// A send that was stored is known again whatever became of what it refers to.
func TestRepeatAfterItsReferenceIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	m := a.say(t, "ann", "c", "one")
	req := proto.SendMessageReq{
		ChatID: "c", EncryptedContent: "x", TempID: "t", ReplyToID: m.ID, Mentions: []string{"eve", "ann"},
		ForwardFrom: &proto.ForwardedFrom{ChatID: "c", MessageID: m.ID},
	}
	first, err := a.send(as(t, "ann"), req)
	require.NoError(t, err)
	a.erase(t, "ann", m, true)
	again, err := a.send(as(t, "ann"), req)
	require.NoError(t, err)
	require.True(t, again.Duplicate)
	require.Equal(t, first.Message, again.Message)
}

// In the open policy too, forwarding makes nobody a member.
func TestForwardingIsNoWayIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	w.cfg.ChatPolicy = PolicyOpen
	a := w.instance()
	secret := a.say(t, "cat", "e", "secret")
	_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", ForwardFrom: &proto.ForwardedFrom{ChatID: "e", MessageID: secret.ID}})
	requireField(t, proto.MessageNotFound, "forwardFrom.messageId", err)
	got, err := a.getChat(backend(t), proto.GetChatReq{ChatID: "e"})
	require.NoError(t, err)
	require.Equal(t, 1, got.MemberCount)
}
