package proto_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func token(t *testing.T, id string) proto.Token {
	t.Helper()
	tok, err := proto.EncodeID(id)
	require.NoError(t, err)
	return tok
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	chat, user, device := token(t, "a.b"), token(t, "*"), token(t, "phone 1")
	for want, got := range map[string]string{
		"ev.chat.=YS5i.msg":         proto.ChatLog(chat, proto.KindMessage),
		"ev.chat.=YS5i.meta":        proto.ChatLog(chat, proto.KindMeta),
		"ev.chat.=YS5i.react":       proto.ChatLog(chat, proto.KindReaction),
		"ev.chat.=YS5i.edit":        proto.ChatLog(chat, proto.KindEdit),
		"timer.chat.=YS5i":          proto.Timer("chat", chat),
		"ev.chat.=YS5i.*":           proto.ChatLogAll(chat),
		"ev.user.=Kg.log":           proto.UserLog(user),
		"ev.user.=Kg.*":             proto.UserLogAll(user),
		"live.chat.=YS5i.*":         proto.ChatLive(chat),
		"live.user.=Kg.*":           proto.UserLive(user),
		"live.user.=Kg.eph":         proto.UserEphemeral(user),
		"rc.chat.=YS5i.=Kg":         proto.ReceiptLog(chat, user),
		"rc.device.=Kg.=cGhvbmUgMQ": proto.DeviceLog(user, device),
		"edge.gw1.kick":             proto.GatewayInbox("gw1", "kick"),
		"live.chat.*.meta":          proto.AllChatMeta,
	} {
		require.Equal(t, want, got)
	}
}

func TestParseChatSubject(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"ev.chat.", "live.chat."} {
		chat, kind, err := proto.ParseChatSubject(prefix + "=YS5i.meta")
		require.NoError(t, err)
		require.Equal(t, token(t, "a.b"), chat)
		require.Equal(t, proto.KindMeta, kind)
	}
	for _, bad := range []string{
		"", "ev.chat.", "ev.chat.a", "ev.chat.a.", "ev.chat..msg", "ev.chat.a.msg.x",
		"ev.user.a", "rc.chat.a.b", "live.ev.chat.a.msg", "xev.chat.a.msg",
	} {
		_, _, err := proto.ParseChatSubject(bad)
		require.Error(t, err, bad)
	}
}

func TestParseUserSubject(t *testing.T) {
	t.Parallel()
	for subject, kind := range map[string]proto.Kind{
		"ev.user.=Kg.log": proto.KindLog, "live.user.=Kg.log": proto.KindLog, "live.user.=Kg.eph": proto.KindEphemeral,
	} {
		user, got, err := proto.ParseUserSubject(subject)
		require.NoError(t, err)
		require.Equal(t, token(t, "*"), user)
		require.Equal(t, kind, got)
	}
	for _, bad := range []string{
		"", "ev.user.", "ev.user.a", "ev.user.a.", "ev.user..log", "live.user.a.eph.x", "live.user..eph",
		"ev.chat.a.msg", "rc.chat.a.b", "live.ev.user.a.log", "xlive.user.a.eph",
	} {
		_, _, err := proto.ParseUserSubject(bad)
		require.Error(t, err, bad)
	}
}

// TestEphemeralIsNeverStored: one subscription brings it and the live copies
// of the user's log, and no stream takes it.
func TestEphemeralIsNeverStored(t *testing.T) {
	t.Parallel()
	user := token(t, "a.b")
	live := proto.LiveOf(proto.UserLog(user))
	for _, subject := range []string{proto.UserEphemeral(user), live} {
		require.True(t, matches(proto.UserLive(user), subject), subject)
		require.False(t, matches(proto.UserLive(token(t, "b")), subject), subject)
		for _, s := range proto.Streams {
			require.False(t, slices.ContainsFunc(s.Subjects, func(p string) bool { return matches(p, subject) }), "%s in %s", subject, s.Name)
		}
	}
	require.NotEqual(t, live, proto.UserEphemeral(user))
}

// TestLogSubjectsBelongToOneStream: what a builder makes is stored, once.
func TestLogSubjectsBelongToOneStream(t *testing.T) {
	t.Parallel()
	a, b := token(t, "a.b"), token(t, ">")
	for subject, stream := range map[string]string{
		proto.ChatLog(a, proto.KindMessage): "EVENTS",
		proto.UserLog(b):                    "EVENTS",
		proto.ReceiptLog(a, b):              "RECEIPTS",
		proto.DeviceLog(b, a):               "RECEIPTS",
		proto.ChatLog(a, proto.KindEdit):    "EVENTS",
		proto.Timer("chat", a):              "WORK",
		proto.ExpireMessages.Subject:        "WORK",
		proto.ExpireMessages.Dead:           "WORK",
	} {
		var in []string
		for _, s := range proto.Streams {
			if slices.ContainsFunc(s.Subjects, func(p string) bool { return matches(p, subject) }) {
				in = append(in, s.Name)
			}
		}
		require.Equal(t, []string{stream}, in, subject)
	}
}

func TestLiveCopyOfALogSubject(t *testing.T) {
	t.Parallel()
	from := strings.TrimSuffix(proto.Events.RePublishFrom, ">")
	to := strings.TrimSuffix(proto.Events.RePublishTo, ">")
	require.Equal(t, proto.LogPrefix, from)
	require.Equal(t, proto.LivePrefix, to)
	chat := token(t, "a.b")
	live := to + strings.TrimPrefix(proto.ChatLog(chat, proto.KindMeta), from)
	require.True(t, matches(proto.ChatLive(chat), live))
	require.True(t, matches(proto.AllChatMeta, live))
	require.False(t, matches(proto.ChatLive(token(t, "c")), live))
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	for _, s := range proto.Streams {
		require.Positive(t, s.MaxBytes, s.Name)
		require.Positive(t, s.Dedup, s.Name)
		require.NotEmpty(t, s.Purpose, s.Name)
	}
}

// TestQueues: a queue is a bounded durable consumer whose dead letters are not its own entries.
func TestQueues(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, q := range proto.Queues {
		service, verb, ok := strings.Cut(q.Name, "-")
		require.True(t, ok, q.Name)
		require.Equal(t, "work."+service+"."+verb, q.Subject)
		require.Equal(t, "dead."+service+"."+verb, q.Dead)
		require.False(t, names[q.Name], q.Name)
		names[q.Name] = true
		require.Positive(t, q.Timeout)
		require.Positive(t, q.MaxDeliver)
		require.Positive(t, q.MaxPending)
		require.NotEmpty(t, q.Purpose)
	}
}

// matches is NATS subject matching, for '*' tokens.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	return len(p) == len(s) && !slices.ContainsFunc(indexes(p), func(i int) bool { return p[i] != "*" && p[i] != s[i] })
}

func indexes(s []string) []int {
	out := make([]int, len(s))
	for i := range s {
		out[i] = i
	}
	return out
}

func TestKeys(t *testing.T) {
	t.Parallel()
	chat, user := token(t, "{a}:b"), token(t, "u")
	for want, got := range map[string]string{
		"{c:=e2F9OmI}":         proto.ChatKey(chat),
		"{c:=e2F9OmI}:members": proto.MembersKey(chat),
		"{c:=e2F9OmI}:cursors": proto.CursorsKey(chat),
		"{c:=e2F9OmI}:index:0": proto.IndexKey(chat, proto.IndexBlock-1),
		"{c:=e2F9OmI}:index:1": proto.IndexKey(chat, proto.IndexBlock),
		"{c:=e2F9OmI}:sent:7":  proto.SentKey(chat, 7),
		"{u:u}:chats":          proto.UserChatsKey(user),
		"{u:u}:devices":        proto.DevicesKey(user),
		"{c:=e2F9OmI}:edits":   proto.EditsKey(chat),
		"{u:u}:hidden":         proto.HiddenMarkKey(user),

		"{u:u}:hidden:=e2F9OmI": proto.HiddenKey(user, chat),
		"{c:=e2F9OmI}:turn:r:u": proto.TurnKey(chat, user, "r"),
		"{u:u}:limit:msg":       proto.LimitKey(user, "msg"),
		"projection:chat:0a":    proto.ProjectionKey("chat", "0a"),
	} {
		require.Equal(t, want, got)
	}
	keys := []string{
		proto.ChatKey(chat), proto.MembersKey(chat), proto.CursorsKey(chat), proto.IndexKey(chat, 1), proto.SentKey(chat, 7), proto.EditsKey(chat), proto.TurnKey(chat, user, "r"),
	}
	for _, k := range keys {
		require.Equal(t, "c:=e2F9OmI", hashTag(k), "one slot for all of a chat's keys")
	}
}

// hashTag is the part of a key that Redis Cluster hashes.
func hashTag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}

func TestParseReceiptSubject(t *testing.T) {
	t.Parallel()
	chat, user, err := proto.ParseReceiptSubject(proto.ReceiptLog("=YS5i", "ann"))
	if err != nil || chat != "=YS5i" || user != "ann" {
		t.Errorf("got %q, %q, %v", chat, user, err)
	}
	for _, s := range []string{"", "rc.chat.a", "rc.chat.a.b.c", "rc.device.a.b", "ev.chat.a.msg", "rc.chat..b", "rc.chat.a."} {
		if _, _, err := proto.ParseReceiptSubject(s); err == nil {
			t.Errorf("%q is no subject of receipts", s)
		}
	}
}
