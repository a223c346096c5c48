package chat

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// Each list that chat answers with, at its bounds, on a server with the smallest
// max_payload: nothing is refused, and every page gets further.

// largest is a user whose ids and names are as long as they may be.
func largest(n int) proto.Actor {
	return proto.Actor{
		User: servicestest.LongID(n), Device: servicestest.LongID(900_000), Name: servicestest.LongName(), Avatar: servicestest.LongName(),
		Socket: "s", Gateway: "g",
	}
}

// largestSend is a message with everything it may have, as large as it may be.
func largestSend(chat string, mentions []string) proto.SendMessageReq {
	return proto.SendMessageReq{
		ChatID: chat, EncryptedContent: servicestest.LongText(proto.MaxContent), MessageType: "image", Mentions: mentions,
		Metadata: proto.Raw(`{"a":"` + strings.Repeat("m", proto.MaxMetadata-8) + `"}`), TTLSec: new(proto.MaxTTL),
	}
}

// fill makes a chat with members, 50 of whom every message mentions, and messages by the first.
func (i *instance) fill(t *testing.T, chat string, members, messages int) {
	t.Helper()
	for from := 0; from < members; from += 200 { // what fits one request
		req := proto.PutChatReq{ChatID: chat}
		for n := from; n < min(from+200, members); n++ {
			req.Members = append(req.Members, proto.Member{UserID: servicestest.LongID(n), Role: proto.RoleMember})
		}
		servicestest.AtBounds(t, i.host, proto.PutChat, proto.Actor{Backend: true}, req)
	}
	var mentions []string
	for n := range min(members, proto.MaxMentions) {
		mentions = append(mentions, servicestest.LongID(n))
	}
	for range messages {
		servicestest.AtBounds(t, i.host, proto.SendMessage, largest(0), largestSend(chat, mentions))
	}
}

func TestLargestMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	reader := largest(1)
	const chats, each = 3, 3
	ids := []string{servicestest.LongID(0), servicestest.LongID(1), servicestest.LongID(2)}
	servicestest.AtBounds(t, a.host, proto.OpenDevice, reader, proto.OpenReq{}) // its queue begins here
	for _, id := range ids {
		a.fill(t, id, proto.MaxMentions, each)
	}
	// An edit is as large, and what is read then is a message and its edit.
	_, err := a.edit(by(t, largest(0)), proto.EditReq{
		ChatID: ids[0], MessageID: a.idOf(t, reader, ids[0], 1), EncryptedContent: servicestest.LongText(proto.MaxContent),
		Metadata: proto.Raw(`{"b":"` + strings.Repeat("m", proto.MaxMetadata-8) + `"}`),
	})
	require.NoError(t, err)

	var seqs []uint64
	for after, more := uint64(0), true; more; {
		res := servicestest.AtBounds(t, a.host, proto.History, reader, proto.HistoryReq{ChatID: ids[0], AfterSeq: &after, Limit: new(100)})
		require.NotEmpty(t, res.Messages)
		for _, m := range messages(t, res.Messages) {
			require.Len(t, m.EncryptedContent, proto.MaxContent)
			seqs, after = append(seqs, m.Seq), m.Seq
		}
		more = res.HasMore
	}
	require.Equal(t, []uint64{1, 2, 3}, seqs)
	newest := servicestest.AtBounds(t, a.host, proto.History, reader, proto.HistoryReq{ChatID: ids[0]})
	require.True(t, newest.HasMore)
	require.EqualValues(t, each, messages(t, newest.Messages)[0].Seq)

	pull, got := proto.SyncReq{}, 0
	for _, id := range ids {
		pull.Chats = append(pull.Chats, proto.SyncFrom{ChatID: id})
	}
	for len(pull.Chats) < proto.MaxSyncChats {
		pull.Chats = append(pull.Chats, proto.SyncFrom{ChatID: servicestest.LongID(500 + len(pull.Chats))}) // no members there
	}
	for more := true; more; {
		res := servicestest.AtBounds(t, a.host, proto.SyncPull, reader, pull)
		require.Len(t, res.Failed, proto.MaxSyncChats-chats)
		more = false
		before := got
		for i, c := range res.Chats {
			for _, m := range messages(t, c.Messages) {
				require.Equal(t, pull.Chats[i].AfterSeq+1, m.Seq)
				pull.Chats[i].AfterSeq = m.Seq
				got++
			}
			more = more || c.More
			require.True(t, c.NoReceipts || len(c.Receipts) == proto.MaxMentions-1)
		}
		require.Greater(t, got, before)
	}
	require.Equal(t, chats*each, got)

	owed, got := []proto.BacklogChat{}, 0
	for _, id := range ids {
		owed = append(owed, proto.BacklogChat{ChatID: id, UpToSeq: each})
	}
	for n := range 197 {
		owed = append(owed, proto.BacklogChat{ChatID: servicestest.LongID(500 + n), UpToSeq: each})
	}
	for more := true; more; {
		res := servicestest.AtBounds(t, a.host, proto.Backlog, reader, proto.BacklogReq{Chats: owed, Limit: 200})
		require.NotEmpty(t, append(res.Gone, make([]string, len(res.Items))...), "it gets further")
		for _, it := range res.Items {
			for i := range owed {
				if owed[i].ChatID == it.ChatID {
					require.Equal(t, owed[i].AfterSeq+1, it.Seq)
					owed[i].AfterSeq++
				}
			}
			got++
		}
		if len(res.Gone) > 0 {
			require.Len(t, res.Gone, 197)
			owed = owed[:chats]
		}
		more = res.More || len(res.Gone) > 0
	}
	require.Equal(t, chats*each, got)
}

// idOf is the id of a message.
func (i *instance) idOf(t *testing.T, actor proto.Actor, chat string, seq uint64) string {
	t.Helper()
	res := servicestest.AtBounds(t, i.host, proto.History, actor, proto.HistoryReq{ChatID: chat, AfterSeq: new(seq - 1), Limit: new(1)})
	return messages(t, res.Messages)[0].ID
}

// TestAwayForLarge: the messages that a device could not get, in the sizes in which it could not.
func TestAwayForLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	ann := proto.Actor{User: "ann", Device: "phone", Socket: "s"}
	for chat, of := range map[string]struct{ messages, size int }{"a": {5, 60_000}, "b": {30, 10_000}, "c": {100, 2_500}} {
		a.chat(t, chat, "ann", "bob")
		for range of.messages {
			a.say(t, "bob", chat, strings.Repeat("x", of.size))
		}
		for _, limit := range []*int{nil, new(100)} {
			res := servicestest.AtBounds(t, a.host, proto.History, ann, proto.HistoryReq{ChatID: chat, Limit: limit})
			require.NotEmpty(t, res.Messages)
			require.Equal(t, len(res.Messages) < of.messages, res.HasMore)
		}
		for after, more := uint64(0), true; more; {
			res := servicestest.AtBounds(t, a.host, proto.SyncPull, ann, proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: chat, AfterSeq: after}}})
			require.NotEmpty(t, res.Chats[0].Messages)
			after, more = after+uint64(len(res.Chats[0].Messages)), res.Chats[0].More
			require.Equal(t, after < uint64(of.messages), more)
		}
	}
}

// TestManyChats: what a user in many chats with the longest ids needs comes in pages; each
// chat is in one.
func TestManyChats(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	const chats = 800
	ann := proto.Actor{User: "ann", Device: "phone", Socket: "s"}
	var all sync.WaitGroup
	for lane := range 8 {
		all.Go(func() {
			for n := lane; n < chats; n += 8 {
				if _, err := a.putChat(backend(t), proto.PutChatReq{ChatID: servicestest.LongID(n), Members: []proto.Member{{UserID: "ann"}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	a.say(t, "ann", servicestest.LongID(700), "hello")
	seen := map[string]uint64{}
	pages := 0
	for req := (proto.OpenReq{}); ; pages++ {
		res := servicestest.AtBounds(t, a.host, proto.OpenDevice, ann, req)
		require.NotEmpty(t, res.Chats)
		require.Equal(t, pages == 0, res.NewDevice)
		for _, c := range res.Chats {
			require.NotContains(t, seen, c.ChatID)
			seen[c.ChatID] = c.LastSeq
		}
		if req.Cursor = res.NextCursor; req.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, chats)
	require.EqualValues(t, 1, seen[servicestest.LongID(700)])
	require.Positive(t, pages)

	join := proto.JoinChatsReq{}
	for n := range proto.MaxJoins {
		join.ChatIDs = append(join.ChatIDs, servicestest.LongID(n))
	}
	require.Len(t, servicestest.AtBounds(t, a.host, proto.JoinChats, ann, join).Joined, proto.MaxJoins)

	req := proto.OpenReq{Cursor: "a.b"}
	_, err := a.open(as(t, "ann", "phone"), req)
	require.NoError(t, err, "the chassis validates; what is behind any text is behind it")
	require.Error(t, req.Validate())
}

func TestManyMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	const members = 1000
	chat := servicestest.LongID(0)
	a.fill(t, chat, members, 1)
	settings := map[string]proto.Raw{}
	for n := range proto.MaxSettings {
		settings[strings.Repeat(`"`, 40)+servicestest.LongID(n)[480:]] = proto.Raw(`"` + strings.Repeat("v", 900) + `"`)
	}
	text := func(n int) *string { return new(strings.Repeat("\x01", n)) }
	admin := proto.Actor{Backend: true}
	set := servicestest.AtBounds(t, a.host, proto.PatchChat, admin, proto.PutChatReq{
		ChatID: chat, Name: text(proto.MaxName), Avatar: text(proto.MaxAvatar), Description: text(proto.MaxDescription), Settings: settings,
	})
	require.Len(t, set.Settings, proto.MaxSettings)

	seen, pages := map[string]bool{}, 0
	for req := (proto.GetChatReq{ChatID: chat}); ; pages++ {
		res := servicestest.AtBounds(t, a.host, proto.GetChat, admin, req)
		require.NotEmpty(t, res.Members)
		for _, m := range res.Members {
			require.False(t, seen[m.UserID])
			seen[m.UserID] = true
		}
		if req.Cursor = res.NextCursor; req.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, members)
	require.Positive(t, pages)

	unreached := map[string]bool{}
	for req := (proto.UnreachedReq{ChatID: chat, Seq: 1, Limit: 1000}); ; {
		res := servicestest.AtBounds(t, a.host, proto.UnreachedMembers, proto.Actor{}, req)
		for _, id := range res.UserIDs {
			require.False(t, unreached[id])
			unreached[id] = true
		}
		if req.After = res.Next; req.After == "" {
			break
		}
	}
	require.GreaterOrEqual(t, len(unreached), members-1)

	shared := proto.SharedChatsReq{UserID: servicestest.LongID(0)}
	for n := range proto.MaxSubscribe {
		shared.UserIDs = append(shared.UserIDs, servicestest.LongID(n+1))
	}
	require.Len(t, servicestest.AtBounds(t, a.host, proto.SharedChats, proto.Actor{}, shared).UserIDs, proto.MaxSubscribe)
	among := proto.AmongReq{ChatID: chat, UserIDs: shared.UserIDs[:proto.MaxReach]}
	require.Len(t, servicestest.AtBounds(t, a.host, proto.MembersAmong, proto.Actor{}, among).Members, proto.MaxReach)
}

// TestWhoIsThere: the receipts and the viewers of a chat with the longest ids.
func TestWhoIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	small, large := servicestest.LongID(0), servicestest.LongID(1)
	a.fill(t, small, proto.SmallChat, 1)
	joined := servicestest.AtBounds(t, a.host, proto.JoinChat, largest(0), proto.JoinChatReq{ChatID: small})
	require.Len(t, joined.Receipts, proto.SmallChat-1)

	a.fill(t, large, 600, 0)
	presence := servicestest.NewHost(t, "presence", w.nats, nil)
	presence.Serve(services.On(proto.Viewers, func(context.Context, proto.ViewersReq) (res proto.ViewersRes, err error) {
		room := presence.AnswerRoom()
		room.Fits(1 << 10)
		for n := 0; room.Fits(proto.EncodedLen(servicestest.LongID(n)) + 1); n++ {
			res.UserIDs = append(res.UserIDs, servicestest.LongID(n))
		}
		res.Count = 600
		return res, nil
	}))
	servicestest.Run(t, presence, servicestest.Service{})
	active := servicestest.AtBounds(t, a.host, proto.ActiveMembers, largest(0), proto.ActiveMembersReq{ChatID: large})
	require.Equal(t, 600, active.Count)
	require.Len(t, active.ActiveMembers, proto.MaxActive)
}

// TestSettingsAreBounded: over several requests too, so that the chat can be read.
func TestSettingsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	value := proto.Raw(`"` + strings.Repeat("v", 40<<10) + `"`)
	_, err := a.patchChat(backend(t), proto.PutChatReq{ChatID: "c", Settings: map[string]proto.Raw{"a": value}})
	require.NoError(t, err)
	_, err = a.patchChat(backend(t), proto.PutChatReq{ChatID: "c", Settings: map[string]proto.Raw{"b": value}})
	requireField(t, proto.PayloadTooLarge, "settings", err)
	_, err = a.patchChat(backend(t), proto.PutChatReq{ChatID: "c", Settings: map[string]proto.Raw{"b": value, "a": proto.Raw("null")}})
	require.NoError(t, err)
	many := proto.PutChatReq{ChatID: "c"}
	for n := range 1000 { // the longest ids, which fit no entry together
		many.Members = append(many.Members, proto.Member{UserID: servicestest.LongID(n)})
	}
	_, err = a.putChat(backend(t), many)
	requireField(t, proto.PayloadTooLarge, "members", err)
}
