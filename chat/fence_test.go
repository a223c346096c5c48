package chat

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// TestARemovalBetweenCheckAndAppendWins: another instance ends the membership
// when a send has been checked and not yet appended. Edge 22.
func TestARemovalBetweenCheckAndAppendWins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		b := w.instance()
		var between atomic.Pointer[func()]
		a := w.instance(func(s *Service) {
			s.beforeAppend = func() {
				if fn := between.Swap(nil); fn != nil {
					(*fn)()
				}
			}
		})
		a.chat(t, "c", "ann", "bob")
		meanwhile := func(fn func()) { between.Store(&fn) }

		meanwhile(func() {
			_, err := b.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "ann"})
			require.NoError(t, err)
		})
		_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "too late", TempID: "t"})
		requireCode(t, proto.ChatNotFound, err)
		require.Nil(t, between.Load(), "the removal came in between")
		require.Empty(t, a.texts(t, "bob", "c"), "nothing was stored")

		// What does not concern the sender, of any kind, only makes the send look again.
		first := a.say(t, "bob", "c", "one")
		for _, fn := range []func(){
			func() { b.chat(t, "c", "cat") },
			func() { b.change(t, "bob", first, "one, edited") },
			func() { b.say(t, "bob", "c", "from b") },
		} {
			meanwhile(fn)
			a.say(t, "bob", "c", "from a")
			require.Nil(t, between.Load())
		}
		require.Equal(t, []string{"one, edited", "from a", "from a", "from b", "from a"}, a.texts(t, "bob", "c"))

		// While Redis is away memory answers who is a member, and the log whether that still holds.
		a.chat(t, "c", "ann")
		a.say(t, "ann", "c", "back again")
		redis.Stop()
		servicestest.Eventually(t, 5*time.Second, "a send without Redis", func() bool {
			_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", TempID: "x"})
			return err == nil
		})
		// As an instance would that still reaches its Redis.
		left, err := wire.Marshal(proto.MemberLeft{ChatID: "c", UserID: "ann", Timestamp: proto.At(time.Now()), Kind: proto.KindMembership, Version: 5})
		require.NoError(t, err)
		meanwhile(func() {
			last, err := b.log.Last(backend(t), proto.Events.Name, proto.ChatLog("c", proto.KindMeta))
			require.NoError(t, err)
			_, err = b.log.Append(backend(t), &eventlog.Append{
				Subject: proto.ChatLog("c", proto.KindMeta), After: last.Position, Event: proto.MemberLeftEvent.Name, Body: left,
			})
			require.NoError(t, err)
		})
		_, err = a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "y", TempID: "y"})
		requireCode(t, proto.ServiceUnavailable, err)
	})
}
