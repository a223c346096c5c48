package chat

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func (i *instance) among(t testing.TB, chat string, users ...string) ([]string, error) {
	t.Helper()
	req := proto.AmongReq{ChatID: chat, UserIDs: users}
	require.NoError(t, req.Validate())
	res, err := i.membersAmong(by(t, proto.Actor{}), req)
	return res.Members, err
}

func TestMembersAmong(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		const chat = "a chat: with.odd * characters"
		a.chat(t, chat, "ann", "bob", "ein Name")
		are := func(i *instance, want []string, users ...string) {
			t.Helper()
			got, err := i.among(t, chat, users...)
			require.NoError(t, err)
			require.Equal(t, want, got, "in the order asked for, and never nil")
		}
		are(b, []string{"ein Name", "ann"}, "ein Name", "eve", "ann")
		are(b, []string{"ann", "bob", "ein Name"}, "ann", "bob", "ein Name")
		are(b, []string{}, "eve", ".meta")
		_, err := b.among(t, "no such chat", "ann")
		requireCode(t, proto.ChatNotFound, err)

		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: chat, UserID: "bob"})
		require.NoError(t, err)
		are(b, []string{"ann"}, "ann", "bob")
		_, err = a.addMembers(backend(t), proto.AddMembersReq{ChatID: chat, UserID: "eve"})
		require.NoError(t, err)
		are(b, []string{"eve"}, "eve", "bob")

		// Nobody is taken for a stranger, and no chat for one that is not, because
		// Redis has forgotten.
		for range 3 {
			flush(t, redis)
			are(a, []string{"ann", "eve"}, "ann", "bob", "eve")
			flush(t, redis)
			are(b, []string{"ann"}, "ann")
			flush(t, redis)
			_, err = b.among(t, "no such chat", "ann")
			requireCode(t, proto.ChatNotFound, err)
		}
	})
}

func TestMembersAmongIsForServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "one", "ann")
	for _, who := range []proto.Actor{{User: "ann"}, {Backend: true}, {User: "ann", Backend: true}} {
		_, err := a.membersAmong(by(t, who), proto.AmongReq{ChatID: "one", UserIDs: []string{"ann"}})
		requireCode(t, proto.PermissionDenied, err)
	}
	w.redis.Stop()
	for _, user := range []string{"ann", "bob"} {
		_, err := a.among(t, "one", user)
		requireCode(t, proto.ServiceUnavailable, err)
	}
}
