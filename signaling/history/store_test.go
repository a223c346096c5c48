package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

type world struct {
	*Store
	ctx  context.Context
	nats *servicestest.NATS
	js   jetstream.JetStream
}

func open(t *testing.T, client redis.UniversalClient) *world {
	t.Helper()
	n := servicestest.RunNATS(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	host := servicestest.NewHost(t, "signaling", n, nil)
	require.NoError(t, host.EnsureStreams(ctx, true, proto.Streams...))
	return &world{New(client, host.JetStream(), host.CatchUp()), ctx, n, host.JetStream()}
}

// onEach runs a test on a plain Redis, on a cluster of one node, which refuses
// what touches two slots, and on the one that the dev run embeds.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, servicestest.RunRedis(t).Client()))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, servicestest.RunRedisCluster(t).Client()))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { require.NoError(t, client.Close()) })
		test(t, open(t, client))
	})
}

var began = time.UnixMilli(1_700_000_000_000)

func call(id string, status proto.CallStatus, after time.Duration) proto.CallRecord {
	return proto.CallRecord{
		CallID: id, CallType: proto.CallAudio, Direction: proto.CallTo, CallerID: "ann", TargetIDs: []string{"bob"},
		Status: status, CreatedAt: proto.At(began.Add(after)),
	}
}

func (w *world) note(t *testing.T, user proto.Token, rec proto.CallRecord) {
	t.Helper()
	require.NoError(t, w.Note(w.ctx, user, rec, fmt.Sprint(user, rec.CallID, rec.Status)))
}

func (w *world) flush(t *testing.T) {
	t.Helper()
	require.NoError(t, w.client.FlushAll(w.ctx).Err())
}

// all is a whole history, page by page.
func (w *world) all(t *testing.T, user proto.Token, limit int) (calls []proto.CallRecord) {
	t.Helper()
	cursor := ""
	for {
		page, next, err := w.Page(w.ctx, user, limit, cursor)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		require.LessOrEqual(t, len(next), 64)
		calls = append(calls, page...)
		if next == "" {
			return calls
		}
		require.Len(t, page, limit)
		cursor = next
	}
}

func idsOf(calls []proto.CallRecord) []string {
	out := make([]string, len(calls))
	for i := range calls {
		out[i] = calls[i].CallID
	}
	return out
}

func statusOf(t *testing.T, calls []proto.CallRecord, id string) proto.CallStatus {
	t.Helper()
	for i := range calls {
		if calls[i].CallID == id {
			return calls[i].Status
		}
	}
	t.Fatalf("%s is not in the history", id)
	return ""
}

func (w *world) entries(t *testing.T, user proto.Token) uint64 {
	t.Helper()
	stream, err := w.js.Stream(w.ctx, proto.Events.Name)
	require.NoError(t, err)
	info, err := stream.Info(w.ctx, jetstream.WithSubjectFilter(proto.UserCalls(user)))
	require.NoError(t, err)
	return info.State.Subjects[proto.UserCalls(user)]
}

// Every call once and the newest first, whatever the size of a page, also where
// many began at once and where Redis forgets between two pages or in one.
func TestPages(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		var want []string
		for i := range 250 {
			rec := call(fmt.Sprintf("call:%03d", i), proto.CallMissed, time.Duration(i/7)*time.Millisecond)
			want = append(want, rec.CallID)
		}
		order := rand.Perm(len(want))
		for _, i := range order {
			w.note(t, "ann", call(want[i], proto.CallMissed, time.Duration(i/7)*time.Millisecond))
		}
		w.note(t, "bob", call("another's", proto.CallMissed, 0))
		whole := idsOf(w.all(t, "ann", 100))
		require.ElementsMatch(t, want, whole)
		for i := range whole {
			require.Equal(t, (249-i)/7, indexOf(t, whole[i])/7, "the newest first")
		}
		for _, limit := range []int{1, 3, 7, 50, 99, 100} {
			require.Equal(t, whole, idsOf(w.all(t, "ann", limit)), limit)
		}
		first, _, err := w.Page(w.ctx, "ann", 0, "")
		require.NoError(t, err)
		require.Equal(t, whole[:DefaultPage], idsOf(first))
		most, _, err := w.Page(w.ctx, "ann", 1000, "")
		require.NoError(t, err)
		require.Equal(t, whole[:proto.CallHistoryLimit], idsOf(most))

		w.flush(t)
		require.Equal(t, whole, idsOf(w.all(t, "ann", 40)))
		looks := 0
		w.beforePage = func() {
			if looks++; looks%3 == 1 {
				w.flush(t)
			}
		}
		require.Equal(t, whole, idsOf(w.all(t, "ann", 40)), "it forgets before each page")
		looks = 0
		w.beforePage = func() {
			if looks++; looks%4 == 2 {
				w.flush(t)
			}
		}
		require.Equal(t, whole, idsOf(w.all(t, "ann", 40)), "it forgets what was just read for a page")
	})
}

func indexOf(t *testing.T, id string) (i int) {
	t.Helper()
	_, err := fmt.Sscanf(id, "call:%d", &i)
	require.NoError(t, err)
	return i
}

func TestNobodyHasCalled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		for range 2 {
			calls, next, err := w.Page(w.ctx, "nobody", 10, "")
			require.NoError(t, err)
			require.Empty(t, next)
			require.NotNil(t, calls)
			require.Empty(t, calls)
		}
		_, ok, err := w.Newest(w.ctx, "nobody")
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// A call goes on only, in whatever order its records come, and by the log as well.
func TestOlderNeverReplacesNewer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		for i, order := range [][]proto.CallStatus{
			{proto.CallRinging, proto.CallAnswered, proto.CallOver},
			{proto.CallRinging, proto.CallOver, proto.CallAnswered},
			{proto.CallOver, proto.CallRinging, proto.CallAnswered},
			{proto.CallAnswered, proto.CallOver, proto.CallRinging},
		} {
			id := fmt.Sprint("c", i)
			rank := -1
			for _, status := range order {
				w.note(t, "ann", call(id, status, time.Duration(i)))
				newest, ok, err := w.Newest(w.ctx, "ann")
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, status, newest.Status, "as the log has it")
				rank = max(rank, rankOf(status))
				require.Equal(t, rank, rankOf(statusOf(t, w.all(t, "ann", 10), id)), "history shows calls that go on too")
			}
		}
		before := w.all(t, "ann", 10)
		require.Len(t, before, 4)
		w.flush(t)
		require.Equal(t, before, w.all(t, "ann", 10))
	})
}

// Of two that are as far the later counts, and the earlier is not brought back by
// who says it again.
func TestSameRank(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		first, second := call("c", proto.CallOver, 0), call("c", proto.CallOver, 0)
		first.Reason, second.Reason = proto.EndHangup, proto.EndFailed
		require.NoError(t, w.Note(w.ctx, "ann", first, "1"))
		require.NoError(t, w.Note(w.ctx, "ann", second, "2"))
		require.NoError(t, w.Note(w.ctx, "ann", first, "1"))
		require.EqualValues(t, 2, w.entries(t, "ann"), "the same again is one entry")
		require.Equal(t, []proto.CallRecord{second}, w.all(t, "ann", 10))
		w.flush(t)
		require.NoError(t, w.Note(w.ctx, "ann", first, "1"))
		require.Equal(t, []proto.CallRecord{second}, w.all(t, "ann", 10))
	})
}

func TestNewestAreKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		const extra = 30
		var publish []jetstream.PubAckFuture
		for i := range proto.MaxCallHistory + extra {
			body := fmt.Sprintf(`{"callId":"c%d","status":"missed","createdAt":%q}`, i, began.Add(time.Duration(i)*time.Second).UTC().Format(proto.TimeLayout))
			ack, err := w.js.PublishAsync(proto.UserCalls("ann"), []byte(body))
			require.NoError(t, err)
			publish = append(publish, ack)
		}
		for _, ack := range publish {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				require.NoError(t, err)
			}
		}
		_, err := w.js.Publish(w.ctx, proto.UserCalls("ann"), []byte(`not a record`))
		require.NoError(t, err)
		check := func(newest int) {
			t.Helper()
			calls := w.all(t, "ann", 100)
			require.Len(t, calls, proto.MaxCallHistory)
			require.Equal(t, fmt.Sprint("c", newest), calls[0].CallID)
			n, err := w.client.ZCard(w.ctx, proto.CallHistoryKey("ann")).Result()
			require.NoError(t, err)
			require.EqualValues(t, proto.MaxCallHistory, n)
			n, err = w.client.HLen(w.ctx, proto.CallRecordsKey("ann")).Result()
			require.NoError(t, err)
			require.EqualValues(t, proto.MaxCallHistory, n-1, "and the mark")
		}
		check(proto.MaxCallHistory + extra - 1)
		next := proto.MaxCallHistory + extra
		w.note(t, "ann", call(fmt.Sprint("c", next), proto.CallRinging, time.Duration(next)*time.Second))
		check(next)
		w.note(t, "ann", call("ancient", proto.CallMissed, -time.Hour))
		check(next)
	})
}

func TestCursorsThatNoPageGave(t *testing.T) {
	t.Parallel()
	w := open(t, servicestest.RunRedis(t).Client())
	w.note(t, "ann", call("a", proto.CallMissed, 0))
	w.note(t, "ann", call("b", proto.CallMissed, time.Second))
	_, good, err := w.Page(w.ctx, "ann", 1, "")
	require.NoError(t, err)
	for _, bad := range []string{
		"x", ".", good + "x", good[:len(good)-1], "0" + good, " " + good, strings.ToUpper(good), "-" + good, "zzzzzzzzzzzzz" + good[strings.IndexByte(good, '.'):], strings.Repeat("a", 64),
	} {
		_, _, err := w.Page(w.ctx, "ann", 1, bad)
		var e *proto.Error
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, proto.InvalidPayload, e.Code)
		require.Equal(t, "cursor", e.Field)
	}
	// Its call is gone since, and so is all that followed.
	rest, next, err := w.Page(w.ctx, "ann", 1, cursorAt(item{began.UnixMilli(), "gone", nil}).text())
	require.NoError(t, err)
	require.Empty(t, next)
	require.Empty(t, rest)
}

// What comes while several read the log anew is there afterwards.
func TestNotesWhileItIsReadAnew(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		const old, users = 700, 4
		for i := range old {
			w.note(t, "ann", call(fmt.Sprint("old", i), proto.CallRinging, time.Duration(i)*time.Millisecond))
		}
		w.flush(t)
		var wg sync.WaitGroup
		for u := range users {
			wg.Go(func() {
				for i := range 40 {
					rec := call(fmt.Sprint("new", u, "-", i), proto.CallAnswered, time.Hour+time.Duration(i)*time.Millisecond)
					if err := w.Note(w.ctx, "ann", rec, rec.CallID); err != nil {
						t.Errorf("note: %v", err)
					}
					end := call(fmt.Sprint("old", u*40+i), proto.CallOver, time.Duration(u*40+i)*time.Millisecond)
					if err := w.Note(w.ctx, "ann", end, end.CallID+"end"); err != nil {
						t.Errorf("note: %v", err)
					}
					if i == 20 && u == 0 {
						if err := w.client.FlushAll(w.ctx).Err(); err != nil {
							t.Errorf("flush: %v", err)
						}
					}
				}
			})
			wg.Go(func() {
				for range 15 {
					calls, _, err := w.Page(w.ctx, "ann", 100, cursorAt(item{began.Add(time.Minute).UnixMilli(), "x", nil}).text())
					for end := time.Now().Add(time.Minute); errors.Is(err, ErrUnavailable) && time.Now().Before(end); { // a client repeats it
						calls, _, err = w.Page(w.ctx, "ann", 100, cursorAt(item{began.Add(time.Minute).UnixMilli(), "x", nil}).text())
					}
					if err != nil || len(calls) != 100 || calls[0].CallID != fmt.Sprint("old", old-1) {
						t.Errorf("%d calls: %v", len(calls), err)
					}
				}
			})
		}
		wg.Wait()
		calls := w.all(t, "ann", 100)
		require.Len(t, calls, old+users*40)
		for i := range users * 40 {
			require.Equal(t, proto.CallOver, statusOf(t, calls, fmt.Sprint("old", i)))
		}
	})
}

// A crash between log and Redis: the next page has it all the same.
func TestWhatRedisWasNotToldOf(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.note(t, "ann", call("a", proto.CallRinging, 0))
		require.Equal(t, proto.CallRinging, w.all(t, "ann", 10)[0].Status)
		_, err := w.js.Publish(w.ctx, proto.UserCalls("ann"), []byte(`{"callId":"a","status":"ended","createdAt":"2023-11-14T22:13:20.000Z"}`))
		require.NoError(t, err)
		require.Equal(t, proto.CallOver, w.all(t, "ann", 10)[0].Status)

		// One of the two keys alone is lost.
		w.note(t, "ann", call("b", proto.CallRinging, time.Second))
		for _, key := range keysOf("ann") {
			require.Len(t, w.all(t, "ann", 10), 2)
			require.NoError(t, w.client.Del(w.ctx, key).Err())
			require.Len(t, w.all(t, "ann", 10), 2)
		}
	})
}

// The log is another: nothing of the old one stays, whatever its positions were.
func TestAnotherLog(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.note(t, "ann", call(fmt.Sprint("old", i), proto.CallOver, time.Duration(i)))
		}
		require.Len(t, w.all(t, "ann", 10), 5)
		stream, err := w.js.Stream(w.ctx, proto.Events.Name)
		require.NoError(t, err)
		require.NoError(t, stream.Purge(w.ctx, jetstream.WithPurgeSubject(proto.UserCalls("ann"))))
		require.Empty(t, w.all(t, "ann", 10), "it was cut")
		w.note(t, "ann", call("old0", proto.CallRinging, 0))

		cfg := stream.CachedInfo().Config
		require.NoError(t, w.js.DeleteStream(w.ctx, proto.Events.Name))
		_, _, err = w.Newest(w.ctx, "ann")
		require.ErrorIs(t, err, ErrUnavailable, "no log is not an empty one")
		cfg.Metadata[proto.MetadataEpoch] = "another"
		_, err = w.js.CreateStream(w.ctx, cfg)
		require.NoError(t, err)
		require.Empty(t, w.all(t, "ann", 10))
		w.note(t, "ann", call("new", proto.CallRinging, 0))
		require.Equal(t, []string{"new"}, idsOf(w.all(t, "ann", 10)))
	})
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	r := servicestest.RunRedis(t)
	w := open(t, r.Client())
	w.note(t, "ann", call("a", proto.CallRinging, 0))
	require.Len(t, w.all(t, "ann", 10), 1)
	r.Stop()
	w.note(t, "ann", call("a", proto.CallOver, 0))
	_, _, err := w.Page(w.ctx, "ann", 10, "")
	require.ErrorIs(t, err, ErrUnavailable)
	newest, ok, err := w.Newest(w.ctx, "ann")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, call("a", proto.CallOver, 0), newest)
	r.Start()
	servicestest.Eventually(t, 10*time.Second, "redis is back", func() bool { return w.client.Ping(w.ctx).Err() == nil })
	require.Equal(t, proto.CallOver, w.all(t, "ann", 10)[0].Status)
}

func TestWithoutLog(t *testing.T) {
	t.Parallel()
	w := open(t, servicestest.RunRedis(t).Client())
	w.note(t, "ann", call("a", proto.CallRinging, 0))
	w.note(t, "bob", call("a", proto.CallRinging, 0))
	require.Len(t, w.all(t, "ann", 10), 1)
	w.nats.Stop()
	calls, _, err := w.Page(w.ctx, "ann", 10, "")
	require.NoError(t, err, "Redis had all that there was")
	require.Len(t, calls, 1)
	_, _, err = w.Page(w.ctx, "bob", 10, "")
	require.ErrorIs(t, err, ErrUnavailable, "nobody has read it yet")
	_, _, err = w.Newest(w.ctx, "ann")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, w.Note(w.ctx, "ann", call("b", proto.CallRinging, 0), "b"), ErrUnavailable)
	require.NotErrorIs(t, w.Note(w.ctx, "ann", proto.CallRecord{}, "c"), ErrUnavailable)
}

// TestLateReplica: calls that the replica which answers does not have are in the history.
func TestLateReplica(t *testing.T) {
	t.Parallel()
	w := open(t, servicestest.RunRedis(t).Client())
	w.note(t, "ann", call("1", proto.CallOver, 0))
	w.nats.Replica(proto.Events.Name).Hold()
	w.note(t, "ann", call("2", proto.CallOver, time.Second))
	w.note(t, "ann", call("3", proto.CallOver, 2*time.Second))
	w.flush(t)
	require.Equal(t, []string{"3", "2", "1"}, idsOf(w.all(t, "ann", 10)))
}
