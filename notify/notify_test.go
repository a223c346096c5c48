package notify

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func TestNotifications(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		sub := w.listen("ann")
		require.Empty(t, w.pending("ann", proto.PendingNotificationsReq{}).Notifications)
		res, err := w.send(proto.NotifyReq{
			UserIDs: []string{"ann", "bob"}, Type: proto.NotifyMention, Title: "Team", Message: "You were mentioned", Data: proto.Raw(`{"a": 1}`),
			FromUserID: "carl", ChatID: "chat.one", MessageID: "msg_1", Key: "a",
		})
		require.NoError(t, err)
		require.Len(t, res.NotificationIDs, 2)
		require.NotEqual(t, res.NotificationIDs[0], res.NotificationIDs[1])
		first, second := res.NotificationIDs[0], w.sent(system("b", "ann"))

		p := w.pending("ann", proto.PendingNotificationsReq{})
		require.Equal(t, 2, p.UnreadCount)
		require.Equal(t, []string{second, first}, []string{p.Notifications[0].ID, p.Notifications[1].ID}, "newest first")
		n := p.Notifications[1]
		require.Equal(t, proto.Notification{
			ID: first, Type: proto.NotifyMention, Title: "Team", Message: "You were mentioned", Data: n.Data, FromUserID: "carl", ChatID: "chat.one",
			MessageID: "msg_1", Priority: proto.PriorityHigh, Sound: true, Timestamp: n.Timestamp, CollapseKey: "chat:chat.one",
		}, n)
		require.JSONEq(t, `{"a":1}`, string(n.Data))
		notes := w.notes("ann")
		require.Equal(t, []int{1, 2}, []int{*notes[0].Badge, *notes[1].Badge})

		require.Equal(t, 1, w.read(phone("ann"), proto.ReadNotificationsReq{NotificationID: first}))
		told, except := heard[proto.NotificationsRead](t, sub, "notification:read")
		require.Equal(t, proto.NotificationsRead{NotificationIDs: []string{first}, UnreadCount: 1}, told)
		require.Equal(t, "socket-phone", except)
		before := len(w.logged("ann"))
		require.Equal(t, 1, w.read(phone("ann"), proto.ReadNotificationsReq{NotificationIDs: []string{first, "ntf_unknown"}}), "the same again")
		require.Len(t, w.logged("ann"), before, "stores nothing")
		p = w.pending("ann", proto.PendingNotificationsReq{})
		require.Equal(t, []bool{false, true}, []bool{p.Notifications[0].Read, p.Notifications[1].Read})

		require.Equal(t, 1, w.clear(phone("ann"), first), "it was read")
		gone, except := heard[proto.NotificationsCleared](t, sub, "notification:cleared")
		require.Equal(t, proto.NotificationsCleared{NotificationIDs: []string{first}, UnreadCount: 1}, gone)
		require.Equal(t, "socket-phone", except)
		require.Equal(t, 1, w.clear(phone("ann"), first), "and is gone already")
		require.Equal(t, 0, w.read(phone("ann"), proto.ReadNotificationsReq{All: true}))
		told, _ = heard[proto.NotificationsRead](t, sub, "notification:read")
		require.Equal(t, proto.NotificationsRead{NotificationIDs: []string{second}}, told)
		require.Equal(t, proto.ClearNotificationsRes{Cleared: 1}, w.clearAll(phone("ann")))
		gone, _ = heard[proto.NotificationsCleared](t, sub, "notification:cleared")
		require.Equal(t, []string{second}, gone.NotificationIDs)
		require.Equal(t, proto.ClearNotificationsRes{}, w.clearAll(phone("ann")))
		require.Empty(t, w.pending("ann", proto.PendingNotificationsReq{}).Notifications)
		w.flush()
		require.Empty(t, w.pending("ann", proto.PendingNotificationsReq{}).Notifications, "the log says so too")
		require.Equal(t, 1, w.pending("bob", proto.PendingNotificationsReq{}).UnreadCount, "another user's are theirs")
		servicestest.Nothing(t, w.host.NATS(), sub, "nobody is told of what changed nothing")
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for _, who := range []proto.Actor{phone("ann"), {}} {
		_, err := services.Do(t.Context(), w.host, proto.SendNotification, who, system("a", "ann"))
		require.ErrorIs(t, err, &proto.Error{Code: proto.PermissionDenied})
	}
	_, err := services.Do(t.Context(), w.host, proto.PendingNotifications, backend, proto.PendingNotificationsReq{})
	require.ErrorIs(t, err, &proto.Error{Code: proto.AuthenticationRequired})
	for _, cursor := range []string{"x", "0", "-1", "1.5", "99999999999999999999999"} {
		_, err = services.Do(t.Context(), w.host, proto.PendingNotifications, phone("ann"), proto.PendingNotificationsReq{Cursor: cursor})
		require.ErrorIs(t, err, &proto.Error{Code: proto.InvalidPayload}, cursor)
		require.Equal(t, "cursor", proto.AsError(err).Field)
	}
	require.Empty(t, w.logged("ann"))
}

// TestRepeats: one notification for a user and a key, whatever is repeated, and
// whatever Redis has forgotten.
func TestRepeats(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		first := w.sent(system("a", "ann"))
		w.ahead.Add(int64(time.Hour))
		require.Equal(t, first, w.sent(system("a", "ann")))
		require.NotEqual(t, first, w.sent(system("a", "bob")), "another user's is another")
		w.flush()
		require.Equal(t, first, w.sent(system("a", "ann")))
		w.clear(phone("ann"), first)
		require.Equal(t, first, w.sent(system("a", "ann")), "also once it is gone")
		require.Empty(t, w.pending("ann", proto.PendingNotificationsReq{}).Notifications)
		require.Len(t, w.notes("ann"), 1)

		req := system("", "cleo")
		one, err := w.send(req, services.WithIdempotencyKey("k"))
		require.NoError(t, err)
		w.flush() // and with it the answer that was kept
		again, err := w.send(req, services.WithIdempotencyKey("k"))
		require.NoError(t, err)
		require.Equal(t, one, again, "the Idempotency-Key is the key")
		another, err := w.send(req)
		require.NoError(t, err)
		require.NotEqual(t, one, another)
		require.Len(t, w.notes("cleo"), 2)

		var wg sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			wg.Go(func() {
				if res, err := w.sends(system("race", "dan")); err == nil {
					ids[i] = res.NotificationIDs[0]
				} else {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Len(t, w.notes("dan"), 1)
		for _, id := range ids {
			require.Equal(t, w.notes("dan")[0].ID, id)
		}
	})
}

// TestBadges: 20 at once over two instances, and each badge is what it was.
func TestBadges(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		var wg sync.WaitGroup
		for u := range 20 {
			wg.Go(func() {
				for i := range 10 {
					if _, err := w.sends(system(fmt.Sprintf("%d.%d", u, i), "ann")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		notes := w.notes("ann")
		require.Len(t, notes, 200)
		for i := range notes {
			require.Equal(t, i+1, *notes[i].Badge)
		}
		require.Equal(t, 200, w.pending("ann", proto.PendingNotificationsReq{}).UnreadCount)
	})
}

// TestMoreThanAreKept: the 501st and the 601st: the oldest are gone, and every
// count is exact about what is there, also as the log has it.
func TestMoreThanAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		var ids []string
		badge := func() int { notes := w.notes("ann"); return *notes[len(notes)-1].Badge }
		add := func(n int) {
			for range n {
				ids = append(ids, w.sent(system(key(len(ids)), "ann")))
			}
		}
		look := func(unread int) {
			t.Helper()
			for range 2 {
				got, n := w.all("ann", proto.PendingNotificationsReq{Limit: new(37)})
				require.Equal(t, reversed(ids[max(0, len(ids)-proto.MaxNotifications):]), got)
				require.Equal(t, unread, n)
				w.flush()
			}
		}
		add(101)
		require.Equal(t, 101, badge())
		add(399)
		look(500)
		require.Equal(t, 500, badge())
		add(1)
		require.Equal(t, 500, badge(), "the 501st: one unread is gone")
		look(500)
		require.Equal(t, 497, w.read(phone("ann"), proto.ReadNotificationsReq{NotificationIDs: []string{ids[0], ids[1], ids[2], ids[250]}}), "one of them is there no more")
		add(2)
		require.Equal(t, 499, badge(), "those that went were read")
		add(98)
		require.Equal(t, 499, badge())
		require.Len(t, ids, 601)
		look(499)
		require.Equal(t, proto.ClearNotificationsRes{Cleared: 500}, w.clearAll(phone("ann")))
		add(1)
		require.Equal(t, 1, badge())
	})
}

func TestTypes(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	types := proto.NotificationTypes
	want := map[proto.NotificationType][]string{}
	for i := range 80 {
		req := system(key(i), "ann")
		req.Type = types[i%len(types)]
		id := w.sent(req)
		want[req.Type] = append(want[req.Type], id)
	}
	for typ, ids := range want {
		got, unread := w.all("ann", proto.PendingNotificationsReq{Types: []proto.NotificationType{typ}, Limit: new(3)})
		require.Equal(t, reversed(ids), got)
		require.Equal(t, 80, unread, "all that are unread count")
	}
	got, _ := w.all("ann", proto.PendingNotificationsReq{Types: []proto.NotificationType{proto.NotifyMention, proto.NotifySystem}, Limit: new(7)})
	require.Len(t, got, 20)
	got, _ = w.all("ann", proto.PendingNotificationsReq{Types: []proto.NotificationType{proto.NotifyMention}, Limit: new(10)})
	require.Len(t, got, 10, "a page that is just full is the last")
}

// TestPagesWhileTheyCome: what comes and goes meanwhile repeats nothing and hides nothing.
func TestPagesWhileTheyCome(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	var ids []string
	for i := range 30 {
		ids = append(ids, w.sent(system(key(i), "ann")))
	}
	page := w.pending("ann", proto.PendingNotificationsReq{Limit: new(10)})
	w.sent(system("later", "ann"))
	w.clear(phone("ann"), ids[20]) // the one that the cursor stands on
	w.clear(phone("ann"), ids[15])
	rest, _ := w.all("ann", proto.PendingNotificationsReq{Limit: new(10), Cursor: page.NextCursor})
	require.Equal(t, append(reversed(ids[16:20]), reversed(ids[:15])...), rest)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		short := system("short", "ann")
		short.TTLSec = new(60)
		w.sent(short)
		stays := w.sent(system("stays", "ann"))
		require.Equal(t, 2, w.pending("ann", proto.PendingNotificationsReq{}).UnreadCount)
		w.ahead.Add(int64(time.Minute + time.Second))
		for range 2 {
			got, unread := w.all("ann", proto.PendingNotificationsReq{})
			require.Equal(t, []string{stays}, got)
			require.Equal(t, 1, unread)
			w.flush()
		}
		next := w.sent(system("next", "ann"))
		notes := w.notes("ann")
		require.Equal(t, 2, *notes[2].Badge)
		w.ahead.Add(int64(31 * 24 * time.Hour))
		last := w.sent(system("last", "ann"))
		require.NotEqual(t, next, last)
		notes = w.notes("ann")
		require.Equal(t, 1, *notes[3].Badge, "30 days if it does not say")
		got, _ := w.all("ann", proto.PendingNotificationsReq{})
		require.Equal(t, []string{last}, got)
	})
}

// TestRedisAway: what is stored while Redis cannot be told is there when it is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	ids := []string{w.sent(system("a", "ann"))}
	w.redis.Stop()
	_, err := w.send(system("b", "ann"))
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	_, err = services.Do(t.Context(), w.host, proto.PendingNotifications, phone("ann"), proto.PendingNotificationsReq{})
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	w.redis.Start()
	servicestest.Eventually(t, 15*time.Second, "redis is back", func() bool {
		res, err := w.send(system("b", "ann"))
		if err == nil {
			ids = append(ids, res.NotificationIDs[0])
		}
		return err == nil
	})
	row := 0 // of answers: by then both instances have found out
	servicestest.Eventually(t, 15*time.Second, "both instances know", func() bool {
		_, err := services.Do(t.Context(), w.host, proto.PendingNotifications, phone("ann"), proto.PendingNotificationsReq{})
		if row++; err != nil {
			row = 0
		}
		return row == 20
	})
	got, unread := w.all("ann", proto.PendingNotificationsReq{})
	require.Equal(t, reversed(ids), got)
	require.Equal(t, 2, unread)
}

// TestAckedAndNotTold: an instance dies between the log and Redis; nobody sees less
// than was stored, and the next badge counts it.
func TestAckedAndNotTold(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.sent(system("a", "ann"))
	body, err := wire.Marshal(proto.Notification{ID: "ntf_01KK8Y8Z0G0000000A00BWY4SB", Type: proto.NotifySystem, Title: "b", Timestamp: proto.At(time.Now())})
	require.NoError(t, err)
	_, _, err = w.log.Append(t.Context(), journal.Append{Subject: proto.UserNotices("ann"), Anyhow: true, Event: proto.NotificationEvent.Name, Body: body})
	require.NoError(t, err)
	require.Equal(t, 2, w.pending("ann", proto.PendingNotificationsReq{}).UnreadCount)
	w.sent(system("c", "ann"))
	_, _, err = w.log.Append(t.Context(), journal.Append{Subject: proto.UserNotices("ann"), Anyhow: true, Event: proto.NotificationsReadEvent.Name, Body: []byte(`{"notificationIds":["ntf_01KK8Y8Z0G0000000A00BWY4SB"],"unreadCount":2}`)})
	require.NoError(t, err)
	w.sent(system("d", "ann"))
	notes := w.notes("ann")
	require.Equal(t, []int{3, 3}, []int{*notes[2].Badge, *notes[3].Badge})
	require.Equal(t, 3, w.clearAll(phone("ann")).Cleared-1)
}

// TestTheLogIsLost: Redis has what the log has not any more; the log counts.
func TestTheLogIsLost(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.sent(system("a", "ann"))
	w.sent(system("b", "ann"))
	s, err := w.host.JetStream().Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	require.NoError(t, s.DeleteMsg(t.Context(), w.logged("ann")[1].Position))
	p := w.pending("ann", proto.PendingNotificationsReq{})
	require.Len(t, p.Notifications, 1)
	require.Equal(t, 1, p.UnreadCount)
	w.sent(system("c", "ann"))
	require.Equal(t, 2, w.pending("ann", proto.PendingNotificationsReq{}).UnreadCount)
}

// TestFlushedMeanwhile: Redis is emptied again and again while notifications come,
// are read and cleared; what is there in the end is what the log says.
func TestFlushedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	flush := w.redis.FlushEach(10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	there := map[string]bool{}
	unread := 0
	for u := range 6 {
		wg.Go(func() {
			for i := range 30 {
				res, err := w.sends(system(fmt.Sprintf("%d.%d", u, i), "ann"))
				if err != nil {
					t.Error(err)
					return
				}
				flush()
				id := res.NotificationIDs[0]
				switch i % 3 {
				case 1:
					_, err = do(w, proto.ReadNotifications, phone("ann"), proto.ReadNotificationsReq{NotificationID: id})
				case 2:
					_, err = do(w, proto.ClearNotification, phone("ann"), proto.ClearNotificationReq{NotificationID: id})
				}
				if err != nil {
					t.Error(err)
				}
				flush()
				mu.Lock()
				if i%3 != 2 {
					there[id] = true
				}
				if i%3 == 0 {
					unread++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, w.notes("ann"), 180, "one each")
	got, n := w.all("ann", proto.PendingNotificationsReq{})
	require.Len(t, got, len(there))
	for _, id := range got {
		require.True(t, there[id])
	}
	require.Equal(t, unread, n)
}

// TestLateReplica: notifications and registrations that the replica which answers does not have are
// there when Redis has lost them.
func TestLateReplica(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	ids := []string{w.sent(system("1", "ann"))}
	w.nats.Replica(proto.Events.Name).Hold()
	ids = append(ids, w.sent(system("2", "ann")), w.sent(system("3", "ann")))
	w.flush()
	got, unread := w.all("ann", proto.PendingNotificationsReq{})
	require.ElementsMatch(t, ids, got)
	require.Equal(t, 3, unread)
}
