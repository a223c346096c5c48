package chat

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestFindMessage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "one", "ann", "bob")
		a.chat(t, "two", "ann", "eve")
		m1, m2 := a.say(t, "ann", "one", "first"), a.say(t, "ann", "two", "second")
		find := func(user, chat, id string) (proto.FindMessageRes, error) {
			t.Helper()
			req := proto.FindMessageReq{UserID: user, ChatID: chat, MessageID: id}
			require.NoError(t, req.Validate())
			return b.find(by(t, proto.Actor{}), req)
		}
		for range 2 {
			got, err := find("bob", "one", m1.ID)
			require.NoError(t, err)
			require.Equal(t, proto.FindMessageRes{ChatID: "one", SenderID: "ann", SenderName: "Name of ann", Seq: 1}, got)
			got, err = find("ann", "", m2.ID)
			require.NoError(t, err, "in whichever chat it is")
			require.Equal(t, "two", got.ChatID)
			_, err = find("eve", "", m1.ID)
			requireCode(t, proto.MessageNotFound, err)
			_, err = find("eve", "one", m1.ID)
			requireCode(t, proto.ChatNotFound, err)
			_, err = find("ann", "two", m1.ID)
			requireCode(t, proto.MessageNotFound, err)
			_, err = find("ann", "", "lol")
			requireCode(t, proto.MessageNotFound, err)
			flush(t, redis)
		}
		a.erase(t, "bob", m1, false)
		got, err := find("bob", "one", m1.ID)
		require.NoError(t, err)
		require.True(t, got.Deleted, "hidden")
		got, err = find("ann", "one", m1.ID)
		require.NoError(t, err)
		require.False(t, got.Deleted)
		a.erase(t, "ann", m1, true)
		got, err = find("ann", "", m1.ID)
		require.NoError(t, err)
		require.True(t, got.Deleted)

		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "one", UserID: "bob"})
		require.NoError(t, err)
		_, err = find("bob", "one", m1.ID)
		requireCode(t, proto.ChatNotFound, err)
		_, err = b.find(by(t, proto.Actor{User: "ann"}), proto.FindMessageReq{UserID: "ann", MessageID: m1.ID})
		requireCode(t, proto.PermissionDenied, err)
	})
}
