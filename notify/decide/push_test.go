package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

var phone, desk = Device{ID: "phone", Provider: proto.PushFCM}, Device{ID: "desk", Provider: proto.PushWeb}

func user(id string, change ...func(*User)) User {
	u := User{ID: id, Prefs: Prefs{Devices: []Device{phone}, Unread: 2}, Messages: 3}
	for _, fn := range change {
		fn(&u)
	}
	return u
}

func muted(until ...time.Time) func(*User) {
	return func(u *User) {
		m := proto.Mute{ChatID: "c", Muted: true}
		if len(until) > 0 {
			at := proto.At(until[0])
			m.Until = &at
		}
		u.Muted = append(u.Muted, m)
	}
}

func quiet(u *User)   { u.QuietUntil = now.Add(time.Hour) }
func busy(u *User)    { u.Busy = true }
func blocked(u *User) { u.Blocked = true }

func TestMessagePush(t *testing.T) {
	t.Parallel()
	m := message()
	e := entry(t, proto.KindMessage, proto.MessageNew.Name, m)
	got := OfMessage(e, &m, "Family", []User{
		user("ann"), user("bob"), user("muted", muted()), user("was muted", muted(now.Add(-time.Second))), user("quiet", quiet),
		user("busy", busy), user("blocked", blocked), user("none", func(u *User) { u.Devices = nil }),
		user("voip", func(u *User) { u.Devices = []Device{{ID: "phone", Provider: proto.PushAPNs, VoIP: true}} }),
		user("two", func(u *User) { u.Devices = append(u.Devices, desk) }),
	}, now)
	var is []string
	for _, j := range got {
		is = append(is, j.Push.UserID+" "+j.Push.DeviceID+" "+fmt.Sprint(j.Push.Sound))
	}
	require.Equal(t, []string{"bob phone true", "was muted phone true", "busy phone false", "two phone true", "two desk true"}, is)
	want := proto.Push{
		UserID: "bob", DeviceID: "phone", Provider: proto.PushFCM, NotificationID: "msg_1", Type: proto.NotifyMessage, Title: "Family", Message: "New message from Ann",
		ChatID: "c", MessageID: "msg_1", Priority: proto.PriorityHigh, Sound: true, Badge: 5, CollapseKey: "chat:c",
		CreatedAt: proto.At(now), ExpiresAt: proto.At(now.Add(24 * time.Hour)), After: 77,
	}
	require.Equal(t, want, got[0].Push)
	got = OfMessage(e, &m, "", []User{user("bob")}, now)
	require.Equal(t, "Ann", got[0].Push.Title)
	require.Equal(t, "New message", got[0].Push.Message)
	require.Empty(t, OfMessage(e, &m, "", []User{user("bob")}, now.Add(24*time.Hour)), "too late")
	at := proto.At(now.Add(time.Minute))
	m.Message.ExpiresAt = &at
	require.Equal(t, at, OfMessage(e, &m, "", []User{user("bob")}, now)[0].Push.ExpiresAt)
	require.Empty(t, OfMessage(e, &m, "", []User{user("bob")}, now.Add(time.Minute)), "it is gone itself")
}

// TestMuteIsOfItsChatAndTime: a mute is of one chat, and until its moment.
func TestMuteIsOfItsChatAndTime(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *proto.Timestamp { v := proto.At(now.Add(d)); return &v }
	for name, row := range map[string]struct {
		mutes  []proto.Mute
		pushed string // of the chats c, d and none
	}{
		"none":             {nil, "c d none"},
		"c":                {[]proto.Mute{{ChatID: "c", Muted: true}}, "d none"},
		"another":          {[]proto.Mute{{ChatID: "x", Muted: true}}, "c d none"},
		"both":             {[]proto.Mute{{ChatID: "c", Muted: true}, {ChatID: "d", Muted: true}}, "none"},
		"no chat":          {[]proto.Mute{{Muted: true}}, "c d none"},
		"unmuted":          {[]proto.Mute{{ChatID: "c"}}, "c d none"},
		"c for a while":    {[]proto.Mute{{ChatID: "c", Muted: true, Until: at(time.Millisecond)}}, "d none"},
		"c until now":      {[]proto.Mute{{ChatID: "c", Muted: true, Until: at(0)}}, "c d none"},
		"c until a moment": {[]proto.Mute{{ChatID: "c", Muted: true, Until: at(-time.Hour)}}, "c d none"},
		"d for a while":    {[]proto.Mute{{ChatID: "x", Muted: true}, {ChatID: "d", Muted: true, Until: at(time.Hour)}}, "c none"},
	} {
		p := Prefs{Devices: []Device{phone}, Muted: row.mutes}
		var pushed []string
		for _, chat := range []string{"c", "d", ""} {
			require.True(t, p.May(proto.NotifyMention, chat, now), "%s: mentions pass", name)
			if p.May(proto.NotifyMessage, chat, now) {
				pushed = append(pushed, first(chat, "none"))
			}
		}
		require.Equal(t, row.pushed, strings.Join(pushed, " "), name)
	}
}

// TestCollapseKeysDiffer: what is about different things never replaces one another.
func TestCollapseKeysDiffer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	seen := map[string]string{}
	for what, key := range map[string]string{
		"a chat": ChatCollapse("a"), "another chat": ChatCollapse("b"), "a call": CallCollapse("a"), "another call": CallCollapse("b"),
		"a notification of no chat": NoticeCollapse(&proto.Notification{ID: "a"}), "another": NoticeCollapse(&proto.Notification{ID: "b"}),
		"its own key": NoticeCollapse(&proto.Notification{ID: "a", ChatID: "a", CollapseKey: "mine"}),
		"a long chat": ChatCollapse(long + "a"), "another long chat": ChatCollapse(long + "b"), "a long call": CallCollapse(long + "a"),
	} {
		require.Empty(t, seen[key], "%s is as %s", what, seen[key])
		require.LessOrEqual(t, len(key), 64)
		seen[key] = what
	}
	require.Equal(t, ChatCollapse("a"), NoticeCollapse(&proto.Notification{ID: "n", ChatID: "a"}), "a chat's notification stands with its messages")
}

// TestWhoAndWhatAPushNames: the title is the chat, or who sent it; a name that is empty or
// too long gives way. Nothing else of the message is shown.
func TestWhoAndWhatAPushNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 300)
	for name, row := range map[string]struct{ chat, sender, title, text string }{
		"a chat with a name": {"Family", "Ann", "Family", "New message from Ann"},
		"no name":            {"", "Ann", "Ann", "New message"},
		"a nameless sender":  {"", " ", "ann", "New message"},
		"both":               {"Family", "", "Family", "New message from ann"},
		"a long chat":        {long, "Ann", strings.Repeat("ä", proto.MaxTitle-1) + "…", "New message from Ann"},
		"a long sender":      {"", long, strings.Repeat("ä", proto.MaxTitle-1) + "…", "New message"},
	} {
		m := message()
		m.Sender.Username = row.sender
		got := OfMessage(entry(t, proto.KindMessage, proto.MessageNew.Name, m), &m, row.chat, []User{user("bob")}, now)
		require.Len(t, got, 1, name)
		require.Equal(t, row.title, got[0].Push.Title, name)
		require.Equal(t, row.text, got[0].Push.Message, name)
	}
}

// What a setting does to each type.
func TestSettings(t *testing.T) {
	t.Parallel()
	for typ, want := range map[proto.NotificationType]struct{ muted, quiet, busySound bool }{
		proto.NotifyMessage: {}, proto.NotifyMention: {muted: true}, proto.NotifyReply: {muted: true}, proto.NotifyInvite: {},
		proto.NotifyChatUpdated: {}, proto.NotifyReaction: {}, proto.NotifySystem: {},
		proto.NotifyCall: {muted: true, quiet: true, busySound: true}, proto.NotifyCallMissed: {muted: true, quiet: true, busySound: true},
	} {
		n := proto.Notification{ID: "ntf_1", Type: typ, Title: "t", ChatID: "c", FromUserID: "ann", Sound: true, Priority: proto.PriorityNormal}
		e := entry(t, proto.KindNotice, proto.NotificationEvent.Name, n)
		pushes := func(change ...func(*User)) []Job { return OfNotice(e, &n, user("bob", change...), now) }
		require.Len(t, pushes(), 1, typ)
		require.Equal(t, want.muted, len(pushes(muted())) == 1, "%s of a muted chat", typ)
		require.Equal(t, want.quiet, len(pushes(quiet)) == 1, "%s while not to be disturbed", typ)
		require.Equal(t, want.busySound, pushes(busy)[0].Push.Sound, "%s while busy", typ)
		require.Empty(t, pushes(blocked), typ)
		require.Empty(t, OfNotice(e, &n, user("ann"), now), "%s of one's own", typ)
	}
	require.Len(t, Rules, len(proto.NotificationTypes)+1)
}

func TestNoticePush(t *testing.T) {
	t.Parallel()
	n := proto.Notification{ID: "ntf_1", Type: proto.NotifySystem, Title: "t", Message: "m", Data: proto.Raw(`{"a":1}`), Priority: proto.PriorityLow, Sound: true}
	e := entry(t, proto.KindNotice, proto.NotificationEvent.Name, n)
	both := func(u *User) { u.Devices = []Device{phone, desk} }
	got := OfNotice(e, &n, user("bob", both, func(u *User) { u.Connected = []string{"desk"}; u.Messages = 0 }), now)
	require.Len(t, got, 1, "not to who has got it")
	require.Equal(t, proto.Push{
		UserID: "bob", DeviceID: "phone", Provider: proto.PushFCM, NotificationID: "ntf_1", Type: proto.NotifySystem, Title: "t", Message: "m", Data: n.Data,
		Priority: proto.PriorityLow, Sound: true, Badge: 2, CollapseKey: "notice:ntf_1", CreatedAt: proto.At(now), ExpiresAt: proto.At(now.Add(24 * time.Hour)), After: 77,
	}, got[0].Push)
	n.ChatID = "c"
	require.Equal(t, "chat:c", OfNotice(e, &n, user("bob"), now)[0].Push.CollapseKey)
	n.CollapseKey = "mine"
	require.Equal(t, "mine", OfNotice(e, &n, user("bob"), now)[0].Push.CollapseKey)
}

func TestRing(t *testing.T) {
	t.Parallel()
	in := proto.IncomingCall{
		CallID: "k", CallerID: "ann", CallerName: "Ann", CallType: proto.CallVideo, Offer: proto.Sdp{Type: "offer", SDP: "SECRET"}, ChatID: "c",
		CreatedAt: proto.At(now), ExpiresAt: proto.At(now.Add(45 * time.Second)),
	}
	ring := entry(t, proto.KindRing, proto.IncomingCallEvent.Name, in)
	apns := Device{ID: "iphone", Provider: proto.PushAPNs}
	voip := apns
	voip.VoIP = true
	u := user("bob", quiet, busy, muted(), func(u *User) { u.Devices = []Device{phone, apns, voip}; u.Messages = 0 })
	got, err := OfRing(ring, u, now)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, proto.Push{
		UserID: "bob", DeviceID: "phone", Provider: proto.PushFCM, NotificationID: "k", Type: proto.NotifyCall, Title: "Ann", Message: "Incoming video call",
		Data: proto.Raw(`{"callId":"k","callerId":"ann","callType":"video"}`), ChatID: "c", Priority: proto.PriorityHigh, Sound: true, Badge: 2,
		CollapseKey: "call:k", CreatedAt: proto.At(now), ExpiresAt: in.ExpiresAt, After: 77,
	}, got[0].Push)
	late, err := OfRing(ring, u, in.ExpiresAt.Time)
	require.NoError(t, err)
	require.Empty(t, late, "a push that comes late must not ring")

	end := proto.At(now)
	for name, e := range map[string]*Entry{
		"missed":   entry(t, proto.KindRing, proto.CallEndEvent.Name, proto.CallEnd{CallID: "k", CallerID: "ann"}),
		"rejected": entry(t, proto.KindCalls, "", proto.CallRecord{CallID: "k", Direction: proto.CallFrom, EndedAt: &end}),
	} {
		back, err := OfRing(e, u, now)
		require.NoError(t, err)
		require.Len(t, back, 2, name)
		for k := range back {
			p := back[k].Push
			require.True(t, p.Withdraw)
			require.Equal(t, "call:k", p.CollapseKey)
			require.Equal(t, got[k].Push.DeviceID, p.DeviceID, "from where it rang")
			require.NotEqual(t, got[k].Key, back[k].Key)
		}
		old, err := OfRing(e, u, now.Add(WithdrawFor))
		require.NoError(t, err)
		require.Empty(t, old)
	}
	for _, e := range []*Entry{
		entry(t, proto.KindCalls, "", proto.CallRecord{CallID: "k", Direction: proto.CallFrom}),
		entry(t, proto.KindCalls, "", proto.CallRecord{CallID: "k", Direction: proto.CallTo, EndedAt: &end}),
		entry(t, proto.KindRing, proto.NotificationEvent.Name, proto.Notification{}),
	} {
		none, err := OfRing(e, u, now)
		require.NoError(t, err)
		require.Empty(t, none)
	}
}

// Whatever is known of whoever: what holds of every push.
func TestPushesHold(t *testing.T) {
	t.Parallel()
	ids := rapid.SampledFrom([]string{"ann", "bob", "cat", strings.Repeat("ü", 128)})
	rapid.Check(t, func(rt *rapid.T) {
		var users []User
		for range rapid.IntRange(0, 5).Draw(rt, "users") {
			u := User{ID: ids.Draw(rt, "id"), Busy: rapid.Bool().Draw(rt, "busy"), Blocked: rapid.Bool().Draw(rt, "blocked"), Messages: rapid.Uint64().Draw(rt, "messages")}
			u.Unread = rapid.IntRange(0, 500).Draw(rt, "unread")
			for range rapid.IntRange(0, 4).Draw(rt, "devices") {
				u.Devices = append(u.Devices, Device{
					ID: rapid.SampledFrom([]string{"phone", "desk"}).Draw(rt, "device"), VoIP: rapid.Bool().Draw(rt, "voip"),
					Provider: rapid.SampledFrom([]proto.PushProvider{proto.PushAPNs, proto.PushFCM}).Draw(rt, "provider"),
				})
			}
			if rapid.Bool().Draw(rt, "quiet") {
				u.QuietUntil = now.Add(time.Duration(rapid.IntRange(-10, 10).Draw(rt, "for")) * time.Minute)
			}
			if rapid.Bool().Draw(rt, "muted") {
				muted()(&u)
			}
			users = append(users, u)
		}
		m := message(func(m *proto.Message) {
			m.SenderID = ids.Draw(rt, "sender")
			if rapid.Bool().Draw(rt, "expires") {
				at := proto.At(now.Add(time.Duration(rapid.IntRange(-10, 10).Draw(rt, "in")) * time.Hour))
				m.ExpiresAt = &at
			}
		})
		e := entry(t, proto.KindMessage, proto.MessageNew.Name, m)
		later := now.Add(time.Duration(rapid.IntRange(0, 48).Draw(rt, "later")) * time.Hour)
		got := OfMessage(e, &m, rapid.SampledFrom([]string{"", "Family"}).Draw(rt, "name"), users, later)
		again := OfMessage(e, &m, "other", users, later)
		require.Len(rt, again, len(got))
		keys := map[string]string{}
		for k, j := range got {
			p := j.Push
			require.Equal(rt, j.Key, again[k].Key, "the same on every repeat")
			require.NotEqual(rt, m.Message.SenderID, p.UserID, "nobody hears of what they did")
			require.True(rt, later.Before(p.ExpiresAt.Time))
			require.LessOrEqual(rt, len(p.CollapseKey), 64)
			require.NotEmpty(rt, p.Title)
			require.GreaterOrEqual(rt, p.Badge, 0)
			where := p.UserID + "/" + p.DeviceID + "/" + string(p.Provider)
			if other, ok := keys[j.Key]; ok {
				require.Equal(rt, other, where)
			}
			keys[j.Key] = where
			require.True(rt, slices.ContainsFunc(users, func(u User) bool {
				return u.ID == p.UserID && !u.Blocked && !later.Before(u.QuietUntil) && len(u.Muted) == 0 && (!p.Sound || !u.Busy) &&
					slices.Contains(u.Devices, Device{ID: p.DeviceID, Provider: p.Provider})
			}))
			b, err := wire.Marshal(p)
			require.NoError(rt, err)
			require.NotContains(rt, string(b), "SECRET")
		}
	})
}
