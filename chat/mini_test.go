package chat

import (
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// The dev run has an embedded Redis: the scripts stay inside what it can do.
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t)
	w := newWorld(t, &servicestest.Redis{URL: "redis://" + mini.Addr(), Addr: mini.Addr()})
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.opened(t, "bob", "x")
	first := a.say(t, "ann", "c", "first")
	for n := range 5 {
		_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: fmt.Sprint(n), TempID: fmt.Sprint(n), ReplyToID: first.ID})
		require.NoError(t, err)
	}
	require.Len(t, a.drain(t, "bob", "x", 2), 6)
	a.deliver(t, "bob", "x", proto.DeliveredReq{ChatID: "c", UpToSeq: 4})
	require.Len(t, a.drain(t, "bob", "x", 2), 2)
	mini.FlushAll()
	require.Len(t, a.drain(t, "bob", "x", 2), 2)
	again, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "1", TempID: "1", ReplyToID: first.ID})
	require.NoError(t, err)
	require.True(t, again.Duplicate)
	a.change(t, "ann", first, "edited")
	a.erase(t, "ann", again.Message, true)
	for range 2 {
		a.erase(t, "bob", first, false)
		require.Equal(t, []uint64{2, 3, 4, 5, 6}, seqs(a.seen(t, "bob", "c")))
		all := a.seen(t, "ann", "c")
		require.Equal(t, "edited", all[0].EncryptedContent)
		require.NotNil(t, all[2].DeletedAt)
		mini.FlushAll()
	}
	_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob"})
	require.NoError(t, err)
	require.Empty(t, a.opened(t, "bob", "x").Chats)
}
