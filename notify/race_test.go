package notify

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/notices"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/servicestest/long"
)

// TestSoakClearAllRaces: many times everything is cleared while one more comes. What was
// stored when the request arrived is gone, what came after is there, and counts.
func TestSoakClearAllRaces(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		survived, rounds := 0, long.Count(t, 40, 200)
		for i := range rounds {
			old := w.sent(system("old"+key(i), "ann"))
			var id string
			var cleared proto.ClearNotificationsRes
			var wg sync.WaitGroup
			wg.Go(func() { id = w.sent(system("new"+key(i), "ann")) })
			wg.Go(func() { cleared = w.clearAll(phone("ann")) })
			wg.Wait()
			var gone proto.NotificationsCleared
			for _, e := range w.logged("ann") {
				if e.Event == proto.NotificationsClearedEvent.Name {
					require.NoError(t, json.Unmarshal(e.Body, &gone))
				}
			}
			got, unread := w.all("ann", proto.PendingNotificationsReq{})
			require.NotContains(t, got, old)
			if !slices.Contains(gone.NotificationIDs, id) {
				survived++
				require.Equal(t, []string{id}, got)
				require.Equal(t, 1, unread)
				require.Equal(t, 1, cleared.Cleared)
				require.Contains(t, []int{0, 1}, cleared.UnreadCount)
			} else {
				require.Empty(t, got)
				require.Zero(t, unread)
				require.Equal(t, proto.ClearNotificationsRes{Cleared: 2}, cleared)
			}
			w.clearAll(phone("ann"))
		}
		t.Logf("%d of %d came after the request", survived, rounds)
		require.Positive(t, survived)
	})
}

// between calls what it is told to before the next script runs.
type between struct {
	mu sync.Mutex
	do func()
}

func (b *between) next(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.do = do
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		b.mu.Lock()
		do := b.do
		b.do = nil
		b.mu.Unlock()
		if do != nil {
			do()
		}
		return next(ctx, cmd)
	}
}

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestSoakClearAllIsOvertaken: many times one comes exactly after the request has
// arrived and before it has looked. The new one survives, with unread 1.
func TestSoakClearAllIsOvertaken(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		client, hook := redis.Client(), &between{}
		client.AddHook(hook)
		slow := notices.New(client, w.host.JetStream(), w.host.CatchUp())
		for i := range long.Count(t, 40, 200) {
			old := w.sent(system("old"+key(i), "ann"))
			var id string
			hook.next(func() { id = w.sent(system("new"+key(i), "ann")) })
			take, all := slow.Clear, []string{old}
			if i%4 == 3 {
				take = slow.Read
			}
			done, err := take(t.Context(), &notices.Taking{User: "ann", All: true, Now: time.Now(), Key: "clear" + strconv.Itoa(i)})
			require.NoError(t, err)
			require.Equal(t, all, done.IDs)
			require.Equal(t, 1, done.Unread)
			p := w.pending("ann", proto.PendingNotificationsReq{Limit: new(1)})
			require.Equal(t, 1, p.UnreadCount)
			require.Equal(t, id, p.Notifications[0].ID)
			require.False(t, p.Notifications[0].Read)

			// The same request again: it was done, and takes nothing more.
			done, err = take(t.Context(), &notices.Taking{User: "ann", All: true, Now: time.Now(), Key: "clear" + strconv.Itoa(i)})
			require.NoError(t, err)
			require.Empty(t, done.IDs)
			require.Equal(t, 1, done.Unread)
			w.clearAll(phone("ann"))
		}
	})
}

// deaf loses the next acknowledgement, where the entry is stored or with the entry.
type deaf struct {
	jetstream.JetStream
	stored, lost bool
}

func (d *deaf) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if d.lost {
		d.lost = false
		return nil, nats.ErrTimeout
	}
	ack, err := d.JetStream.PublishMsg(ctx, m, opts...)
	if err == nil && d.stored {
		d.stored = false
		return nil, nats.ErrTimeout
	}
	return ack, err
}

// TestAcknowledgementIsLost: what is read is known to be read, so that the other
// devices are told, whatever became of the log's answer.
func TestAcknowledgementIsLost(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	js := &deaf{JetStream: w.host.JetStream()}
	store := notices.New(w.redis.Client(), js, w.host.CatchUp())
	for i, lose := range []func(){func() { js.stored = true }, func() { js.lost = true }} {
		id := w.sent(system(key(i), "ann"))
		before := len(w.logged("ann"))
		lose()
		done, err := store.Read(t.Context(), &notices.Taking{User: "ann", IDs: []string{id}, Now: time.Now(), Key: "read" + key(i)})
		require.NoError(t, err)
		require.Equal(t, []string{id}, done.IDs)
		require.Zero(t, done.Unread)
		log := w.logged("ann")
		require.Len(t, log, before+1)
		require.Equal(t, log[before].Position, done.Position)
		require.Zero(t, w.pending("ann", proto.PendingNotificationsReq{}).UnreadCount)
	}
}
