package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func entry(t testing.TB, kind proto.Kind, event string, body any) *Entry {
	t.Helper()
	b, err := wire.Marshal(body)
	require.NoError(t, err)
	return &Entry{Kind: kind, Owner: "owner", Event: event, Position: 77, Stored: now, Body: b}
}

func message(change ...func(*proto.Message)) proto.NewMessage {
	m := proto.NewMessage{
		Message: proto.Message{ID: "msg_1", ChatID: "c", SenderID: "ann", EncryptedContent: "SECRET", Metadata: proto.Raw(`{"s":"SECRET"}`), MessageType: "text", Seq: 9},
		Sender:  proto.Sender{ID: "ann", Username: "Ann"},
	}
	for _, fn := range change {
		fn(&m.Message)
	}
	return m
}

func TestNotices(t *testing.T) {
	t.Parallel()
	mentions := func(users ...string) func(*proto.Message) {
		return func(m *proto.Message) { m.Mentions = users }
	}
	replies := func(m *proto.Message) { m.ReplyToID = "msg_0" }
	expires := func(d time.Duration) func(*proto.Message) {
		return func(m *proto.Message) { at := proto.At(now.Add(d)); m.ExpiresAt = &at }
	}
	type want struct {
		t     proto.NotificationType
		users string
		key   string
		ttl   int
	}
	reaction := proto.Reaction{MessageID: "msg_1", ChatID: "c", UserID: "bob", UserName: "Bob", Reaction: "👍", Action: proto.ReactionAdd, Author: "ann"}
	own, gone, old := reaction, reaction, reaction
	own.Author, gone.Action, old.Author = "bob", proto.ReactionRemove, ""
	joined := proto.MemberJoined{ChatID: "c", UserID: "bob", Kind: proto.KindMembership, AddedBy: "ann"}
	active, self := joined, joined
	active.Kind, self.AddedBy = "active", "bob"
	for name, c := range map[string]struct {
		e        *Entry
		answered string
		want     []want
	}{
		"plain":               {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message())},
		"mention":             {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("bob", "cat"))), want: []want{{proto.NotifyMention, "bob cat", "mention:msg_1", 0}}},
		"of oneself":          {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("ann", "bob", "bob"))), want: []want{{proto.NotifyMention, "bob", "mention:msg_1", 0}}},
		"only of oneself":     {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("ann")))},
		"reply":               {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(replies)), answered: "bob", want: []want{{proto.NotifyReply, "bob", "reply:msg_1", 0}}},
		"to oneself":          {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(replies)), answered: "ann"},
		"to nobody known":     {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(replies))},
		"both":                {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(replies, mentions("bob", "cat"))), answered: "bob", want: []want{{proto.NotifyMention, "bob cat", "mention:msg_1", 0}}},
		"both, of others":     {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(replies, mentions("cat"))), answered: "bob", want: []want{{proto.NotifyMention, "cat", "mention:msg_1", 0}, {proto.NotifyReply, "bob", "reply:msg_1", 0}}},
		"short-lived":         {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("bob"), expires(time.Minute))), want: []want{{proto.NotifyMention, "bob", "mention:msg_1", 60}}},
		"nearly over":         {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("bob"), expires(time.Second)))},
		"over":                {e: entry(t, proto.KindMessage, proto.MessageNew.Name, message(mentions("bob"), expires(-time.Second)))},
		"edit":                {e: entry(t, proto.KindEdit, "message:edited", message(mentions("bob")))},
		"reaction":            {e: entry(t, proto.KindReaction, proto.ReactionEvent.Name, reaction), want: []want{{proto.NotifyReaction, "ann", "react:msg_1:bob", 0}}},
		"own reaction":        {e: entry(t, proto.KindReaction, proto.ReactionEvent.Name, own)},
		"taken away":          {e: entry(t, proto.KindReaction, proto.ReactionGoneEvent.Name, gone)},
		"taken away, as well": {e: entry(t, proto.KindReaction, proto.ReactionEvent.Name, gone)},
		"author not known":    {e: entry(t, proto.KindReaction, proto.ReactionEvent.Name, old)},
		"added":               {e: entry(t, proto.KindMeta, proto.MemberJoinedEvent.Name, joined), want: []want{{proto.NotifyInvite, "bob", "invite:c:77", 0}}},
		"opened":              {e: entry(t, proto.KindMeta, proto.MemberJoinedEvent.Name, active)},
		"joined":              {e: entry(t, proto.KindMeta, proto.MemberJoinedEvent.Name, self)},
		"created": {e: entry(t, proto.KindMeta, proto.ChatUpdatedEvent.Name, proto.ChatUpdated{ChatID: "c", UpdatedBy: "ann", Changes: proto.ChatChanges{
			Added: []proto.Member{{UserID: "ann"}, {UserID: "bob"}, {UserID: "cat"}, {UserID: "dan"}}, RoleChanged: []string{"dan"},
		}}), want: []want{{proto.NotifyInvite, "bob cat", "invite:c:77", 0}}},
		"by a backend": {e: entry(t, proto.KindMeta, proto.ChatUpdatedEvent.Name, proto.ChatUpdated{ChatID: "c", UpdatedBy: "backend", Changes: proto.ChatChanges{
			Added: []proto.Member{{UserID: "ann"}},
		}}), want: []want{{proto.NotifyInvite, "ann", "invite:c:77", 0}}},
		"renamed": {e: entry(t, proto.KindMeta, proto.ChatUpdatedEvent.Name, proto.ChatUpdated{ChatID: "c", UpdatedBy: "ann", Changes: proto.ChatChanges{Name: new("x")}})},
		"left":    {e: entry(t, proto.KindMeta, proto.MemberLeftEvent.Name, proto.MemberLeft{ChatID: "c", UserID: "bob"})},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Notices(c.e, c.answered, now)
			require.NoError(t, err)
			var is []want
			for _, r := range got {
				require.NoError(t, r.Validate())
				is = append(is, want{r.Type, strings.Join(r.UserIDs, " "), r.Key, proto.ValueOr(r.TTLSec, 0)})
				require.Equal(t, Rules[r.Type].Priority, r.Priority)
				b, err := wire.Marshal(r)
				require.NoError(t, err)
				require.NotContains(t, string(b), "SECRET")
			}
			require.Equal(t, c.want, is)
		})
	}
}

func TestNoticesOfMany(t *testing.T) {
	t.Parallel()
	u := proto.ChatUpdated{ChatID: strings.Repeat("ü", 128), UpdatedBy: "backend", Changes: proto.ChatChanges{Name: new(strings.Repeat("n", 256))}}
	for k := range proto.MaxNotifyUsers {
		u.Changes.Added = append(u.Changes.Added, proto.Member{UserID: "u" + number(uint64(k))})
	}
	got, err := Notices(entry(t, proto.KindMeta, proto.ChatUpdatedEvent.Name, u), "", now)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.NoError(t, got[0].Validate(), "long ids fit")
	require.Len(t, got[0].UserIDs, proto.MaxNotifyUsers)

	u.Changes.Added = append(u.Changes.Added, proto.Member{UserID: "one more"})
	got, err = Notices(entry(t, proto.KindMeta, proto.ChatUpdatedEvent.Name, u), "", now)
	require.NoError(t, err)
	require.Len(t, got, 2, "a crowd is invited in parts")
	require.Len(t, got[0].UserIDs, proto.MaxNotifyUsers)
	require.Equal(t, []string{"one more"}, got[1].UserIDs)
	require.Equal(t, got[0].Key, got[1].Key, "which is one of each user")
}

func TestNoticesOfGarbage(t *testing.T) {
	t.Parallel()
	for kind, event := range map[proto.Kind]string{
		proto.KindMessage: proto.MessageNew.Name, proto.KindReaction: proto.ReactionEvent.Name, proto.KindMeta: proto.ChatUpdatedEvent.Name,
	} {
		_, err := Notices(&Entry{Kind: kind, Event: event, Body: []byte("no")}, "", now)
		require.Error(t, err)
	}
}

func TestEntryOf(t *testing.T) {
	t.Parallel()
	chat, err := proto.EncodeID("a chat")
	require.NoError(t, err)
	e, err := EntryOf(proto.ChatLog(chat, proto.KindMessage), "x", 3, now, []byte("b"))
	require.NoError(t, err)
	require.Equal(t, Entry{Kind: proto.KindMessage, Owner: "a chat", Event: "x", Position: 3, Stored: now, Body: []byte("b")}, e)
	e, err = EntryOf(proto.UserRing(chat), "x", 3, now, nil)
	require.NoError(t, err)
	require.Equal(t, proto.KindRing, e.Kind)
	_, err = EntryOf("ev.call.x.log", "x", 3, now, nil)
	require.Error(t, err)
}
