package chat

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// TestARemovedMemberOfAStaleRedis: Redis goes back to before a removal, as one that has
// failed over to a replica does. The log knows of the removal: nothing is stored.
func TestARemovedMemberOfAStaleRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *servicestest.Redis) {
		t.Parallel()
		w := newWorld(t, r)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob")
		a.say(t, "ann", "c", "one")
		keys := []string{proto.ChatKey("c"), proto.MembersKey("c"), proto.UserChatsKey("ann")}
		before := map[string]string{}
		for _, key := range keys {
			dump, err := r.Client().Dump(t.Context(), key).Result()
			require.NoError(t, err)
			before[key] = dump
		}
		_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "ann"})
		require.NoError(t, err)
		waitApplied(t, b, 2)
		for _, i := range []*instance{a, b, w.instance()} { // one that removed, one that heard of it, one that knows nothing
			_, err := r.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
				for _, key := range keys {
					p.RestoreReplace(t.Context(), key, 0, before[key])
				}
				p.Del(t.Context(), proto.AwayKey("c"))
				return nil
			})
			require.NoError(t, err)
			_, err = i.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "too late", TempID: "t"})
			requireCode(t, proto.ChatNotFound, err)
		}
		require.Equal(t, []string{"one"}, b.texts(t, "bob", "c"), "nothing was stored")
		require.Equal(t, "two", a.say(t, "bob", "c", "two").EncryptedContent)
	})
}

// waitApplied waits until an instance has followed a chat up to a version, so that
// it does not do so later.
func waitApplied(t testing.TB, i *instance, version uint64) {
	t.Helper()
	servicestest.Eventually(t, 10*time.Second, "the change is applied", func() bool {
		now, err := i.roster.Load().Chat(backend(t), "c", nil)
		return err == nil && now.Version >= version
	})
}
