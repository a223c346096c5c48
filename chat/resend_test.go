package chat

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// TestARepeatIsAckedAsItIsNow: the same tempId again gives the message as history would,
// also from an empty Redis and from none.
func TestARepeatIsAckedAsItIsNow(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newWorld(t, redis)
		var clock atomic.Int64
		a := w.ahead(&clock)
		a.chat(t, "c", "ann", "bob")
		send := func(text string, ttl *int) (proto.Message, bool) {
			t.Helper()
			res, err := a.send(as(t, "ann"), proto.SendMessageReq{
				ChatID: "c", EncryptedContent: text, TempID: text, Metadata: proto.Raw(`{"a":1}`), Mentions: []string{"bob"}, TTLSec: ttl,
			})
			require.NoError(t, err)
			return res.Message, res.Duplicate
		}
		again := func(was proto.Message, ttl *int) proto.Message {
			t.Helper()
			m, duplicate := send(was.TempID, ttl)
			require.True(t, duplicate)
			require.Equal(t, was.ID, m.ID)
			require.Equal(t, was.TempID, m.TempID)
			return m
		}
		plain, _ := send("plain", nil)
		edited, _ := send("edited", nil)
		deleted, _ := send("deleted", nil)
		both, _ := send("edited and deleted", nil)
		expired, _ := send("expired", new(3600))
		a.change(t, "ann", edited, "another text")
		a.change(t, "ann", both, "another text")
		a.erase(t, "ann", deleted, true)
		a.erase(t, "ann", both, true)
		look := func() {
			t.Helper()
			require.Equal(t, plain, again(plain, nil))
			e := again(edited, nil)
			require.Equal(t, "another text", e.EncryptedContent)
			require.NotNil(t, e.EditedAt)
			require.Nil(t, e.DeletedAt)
			for _, m := range []proto.Message{again(deleted, nil), again(both, nil)} {
				require.NotNil(t, m.DeletedAt)
				require.Empty(t, m.EncryptedContent)
				require.Empty(t, m.Metadata)
				require.Empty(t, m.Mentions)
			}
		}
		look()
		require.Nil(t, again(expired, new(3600)).DeletedAt)
		flush(t, redis)
		look()
		redis.Stop()
		servicestest.Eventually(t, 10*time.Second, "a send without Redis", func() bool {
			_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", TempID: "x"})
			return err == nil
		})
		look()
		clock.Store(int64(time.Hour))
		redis.Start()
		servicestest.Eventually(t, 20*time.Second, "Redis is back", func() bool {
			_, err := a.join(as(t, "ann"), proto.JoinChatReq{ChatID: "c"})
			return err == nil
		})
		gone := again(expired, new(3600))
		require.Equal(t, expired.ExpiresAt, gone.DeletedAt)
		require.Empty(t, gone.EncryptedContent)
		seen := a.seen(t, "ann", "c")
		for k, was := range []proto.Message{plain, edited, deleted, both, expired} {
			var ttl *int
			if was.ExpiresAt != nil {
				ttl = new(3600)
			}
			m := again(was, ttl)
			m.TempID = ""
			require.Equal(t, seen[k], m, "as history shows it")
		}
	})
}
