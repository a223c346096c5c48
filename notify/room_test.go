package notify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// Each list that notify answers with, at its bounds, on a server with the smallest
// max_payload: nothing is refused, and every page gets further.

// pages reads all notifications of a user, at the largest limit, and says how many pages they took.
func (w *town) pages(user proto.Actor) (ids []string, pages int) {
	w.t.Helper()
	seen := map[string]bool{}
	for req := (proto.PendingNotificationsReq{Limit: new(proto.MaxNotificationsPage)}); ; {
		res := servicestest.AtBounds(w.t, w.host, proto.PendingNotifications, user, req)
		require.NotEmpty(w.t, res.Notifications)
		pages++
		for _, n := range res.Notifications {
			require.False(w.t, seen[n.ID])
			seen[n.ID] = true
			ids = append(ids, n.ID)
		}
		if req.Cursor = res.NextCursor; req.Cursor == "" {
			return ids, pages
		}
	}
}

func TestLargeNotifications(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for n := range 70 {
		req := system(fmt.Sprint(n), "ann")
		req.Data = proto.Raw(`{"a":"` + strings.Repeat("x", 3_500) + `"}`)
		w.sent(req)
	}
	ids, pages := w.pages(phone("ann"))
	require.Len(t, ids, 70)
	require.Equal(t, 2, pages)

	user, other := servicestest.LongID(1), servicestest.LongID(2)
	for n := range 110 {
		_, err := w.sends(proto.NotifyReq{
			UserIDs: []string{user}, Type: proto.NotifyChatUpdated, Title: strings.Repeat("\x01", proto.MaxTitle), Key: fmt.Sprint(n),
			Message: strings.Repeat("\x01", proto.MaxNotificationText), Data: proto.Raw(`{"a":"` + strings.Repeat("x", proto.MaxNotificationData-8) + `"}`),
			FromUserID: other, ChatID: other, MessageID: other, CollapseKey: strings.Repeat("😀", 64),
		})
		require.NoError(t, err)
	}
	ids, pages = w.pages(device(user, servicestest.LongID(3)))
	require.Len(t, ids, 110)
	require.Greater(t, pages, 2)
	one := servicestest.AtBounds(t, w.host, proto.PendingNotifications, device(user, "d"), proto.PendingNotificationsReq{Limit: new(1)})
	require.Len(t, one.Notifications, 1)
	require.NotEmpty(t, one.NextCursor)

	many := proto.NotifyReq{Type: proto.NotifySystem, Title: "t", Key: "many"}
	for n := range proto.MaxNotifyUsers {
		many.UserIDs = append(many.UserIDs, servicestest.LongID(n))
	}
	require.Len(t, servicestest.AtBounds(t, w.host, proto.SendNotification, backend, many).NotificationIDs, proto.MaxNotifyUsers)
}

// TestManyMutes: muted chats are one entry of the log and one answer: what would fit
// neither is refused, and what there is can be read and undone.
func TestManyMutes(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	mute := func(n int, muted bool) (proto.NotifyPrefsRes, error) {
		return do(w, proto.NotifyPreferences, phone("ann"), proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: servicestest.LongID(n), Muted: muted}})
	}
	muted := 400
	_, err := registry.New(w.redis.Client(), w.host.JetStream(), w.host.CatchUp()).Change(t.Context(), "ann", "", func(st *registry.State) (bool, error) {
		for n := range muted {
			require.False(t, st.SetMute(&proto.Mute{ChatID: servicestest.LongID(n), Muted: true}, w.now()))
		}
		return true, nil
	})
	require.NoError(t, err)
	for ; err == nil; muted++ {
		_, err = mute(muted, true)
	}
	muted--
	require.ErrorIs(t, err, &proto.Error{Code: proto.SubscriptionLimit})
	require.Greater(t, muted, 400)
	res := servicestest.AtBounds(t, w.host, proto.NotifyPreferences, phone("ann"), proto.NotifyPrefsReq{})
	require.Len(t, res.Muted, muted)
	_, err = mute(0, false)
	require.NoError(t, err)
	_, err = mute(muted, true)
	require.NoError(t, err)
}
