package notify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// TestClearOfAMessage: those of one type about one message go, with an event and with
// their push on every device; others stay. So also for a user who is read anew.
func TestClearOfAMessage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newTown(t, redis)
		s := w.instance()
		for _, name := range []string{"phone", "tablet"} {
			require.NoError(t, w.register(device("ann", name), hook(name)))
		}
		nc := w.nats.Connect()
		jobs, err := nc.SubscribeSync(proto.PushJobs.Subject)
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		clears := func(user, message string, typ proto.NotificationType, key string) error {
			_, err := servicestest.Persist(func() (struct{}, error) {
				return struct{}{}, decided{s}.Clear(t.Context(), user, message, typ, key)
			})
			return err
		}
		one := func(key, message string, typ proto.NotificationType) string {
			req := system(key, "ann")
			req.Type, req.ChatID, req.MessageID = typ, "c", message
			return w.sent(req)
		}
		m1, again := one("k1", "m 1", proto.NotifyMention), one("k2", "m 1", proto.NotifyMention)
		reply, other := one("k3", "m 1", proto.NotifyReply), one("k4", "m 11", proto.NotifyMention)
		none := w.sent(system("k5", "ann"))
		w.flush()
		live := w.listen("ann")
		require.NoError(t, clears("ann", "m 1", proto.NotifyMention, "edit:1"))
		cleared, except := heard[proto.NotificationsCleared](t, live, proto.NotificationsClearedEvent.Name)
		require.ElementsMatch(t, []string{m1, again}, cleared.NotificationIDs)
		require.Equal(t, 3, cleared.UnreadCount)
		require.Empty(t, except, "every socket is told")
		left, unread := w.all("ann", proto.PendingNotificationsReq{})
		require.ElementsMatch(t, []string{reply, other, none}, left)
		require.Equal(t, 3, unread)
		require.NoError(t, clears("ann", "m 1", proto.NotifyMention, "edit:1"), "the same again")
		require.NoError(t, clears("bob", "m 1", proto.NotifyMention, "edit:1"), "one who has none")

		// The last that is unread under a collapse key takes the push back.
		require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:c", 1, false))
		require.NoError(t, clears("ann", "m 11", proto.NotifyMention, "edit:2"))
		require.NoError(t, clears("ann", "m 1", proto.NotifyReply, "edit:3"))
		devices := map[string]bool{}
		for len(devices) < 2 {
			var p proto.Push
			require.NoError(t, wire.Restore(servicestest.Next(t, jobs).Data, &p))
			if !p.Withdraw { // PushAfter is over for one that is still unread
				continue
			}
			require.False(t, devices[p.DeviceID], "once for each device")
			require.Equal(t, "chat:c", p.CollapseKey)
			require.Equal(t, 1, p.Badge)
			devices[p.DeviceID] = true
		}
		require.Equal(t, map[string]bool{"phone": true, "tablet": true}, devices)
	})
}
