package chat

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func ptr[T any](v T) *T { return &v }

// meta is a chat's meta log.
func (i *instance) meta(t testing.TB, chat proto.Token) []eventlog.Entry {
	t.Helper()
	page, more, err := i.log.Range(backend(t), proto.Events.Name, proto.ChatLog(chat, proto.KindMeta), 1, 1000, 1<<20)
	require.NoError(t, err)
	require.False(t, more)
	return page
}

func TestChats(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		req := proto.PutChatReq{
			ChatID: "c", Name: ptr("A chat"), Settings: map[string]proto.Raw{"color": proto.Raw(`{ "r": 1 }`)},
			Members: []proto.Member{{UserID: "ann", Role: proto.RoleOwner}, {UserID: "bob"}},
		}
		res, err := a.putChat(backend(t), req)
		require.NoError(t, err)
		require.Equal(t, proto.ChatRes{ChatID: "c", Name: "A chat", Settings: map[string]proto.Raw{"color": proto.Raw(`{"r":1}`)}, Version: 1, MemberCount: 2, Created: true}, res)
		res, err = a.putChat(backend(t), req)
		require.NoError(t, err)
		require.Equal(t, uint64(1), res.Version, "the same again changes nothing")
		require.False(t, res.Created)
		require.Len(t, a.meta(t, "c"), 1)

		_, err = a.patchChat(backend(t), proto.PutChatReq{ChatID: "none", Name: ptr("x")})
		requireCode(t, proto.ChatNotFound, err)
		res, err = a.patchChat(backend(t), proto.PutChatReq{ChatID: "c", Description: ptr("about"), Settings: map[string]proto.Raw{"color": proto.Raw("null"), "n": proto.Raw("2")}})
		require.NoError(t, err)
		require.Equal(t, "A chat", res.Name)
		require.Equal(t, "about", res.Description)
		require.Equal(t, map[string]proto.Raw{"n": proto.Raw("2")}, res.Settings)
		require.Equal(t, uint64(2), res.Version)

		one, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: "cat", Role: proto.RoleAdmin, AddedBy: "ann"})
		require.NoError(t, err)
		require.Equal(t, proto.MembersRes{ChatID: "c", Version: 3, MemberCount: 3, Changed: 1}, one)
		many, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", Members: []proto.Member{{UserID: "cat"}, {UserID: "dan"}, {UserID: "bob", Role: proto.RoleAdmin}}})
		require.NoError(t, err)
		require.Equal(t, proto.MembersRes{ChatID: "c", Version: 4, MemberCount: 4, Changed: 2}, many)
		gone, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "dan"})
		require.NoError(t, err)
		require.Equal(t, proto.MembersRes{ChatID: "c", Version: 5, MemberCount: 3, Changed: 1}, gone)
		gone, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "dan"})
		require.NoError(t, err)
		require.Zero(t, gone.Changed)

		entries := a.meta(t, "c")
		require.Len(t, entries, 5)
		var events []string
		for _, e := range entries {
			events = append(events, e.Event)
		}
		require.Equal(t, []string{"chat:updated", "chat:updated", "chat:member-joined", "chat:updated", "chat:member-left"}, events)
		require.Contains(t, string(entries[0].Body), `"updatedBy":"backend","updateType":"members"`)
		require.Contains(t, string(entries[1].Body), `"updateType":"description"`)
		require.Contains(t, string(entries[2].Body), `"userId":"cat"`)
		require.Contains(t, string(entries[3].Body), `"roleChanged":["bob"]`)
		require.Contains(t, string(entries[2].Body), `"kind":"membership","role":"admin","addedBy":"ann","version":3`)
		require.Contains(t, string(entries[4].Body), `"reason":"removed","version":5`)

		want := proto.ChatRes{
			ChatID: "c", Name: "A chat", Description: "about", Settings: map[string]proto.Raw{"n": proto.Raw("2")}, Version: 5, LastSeq: 1, MemberCount: 3,
			Members: []proto.Member{{UserID: "ann", Role: proto.RoleOwner}, {UserID: "bob", Role: proto.RoleAdmin}, {UserID: "cat", Role: proto.RoleAdmin}},
		}
		a.say(t, "cat", "c", "hi")
		got, err := a.getChat(backend(t), proto.GetChatReq{ChatID: "c"})
		require.NoError(t, err)
		require.Equal(t, want, got)
		joined := a.opened(t, "bob", "x").Chats[0].Joined
		flush(t, redis)
		servicestest.Eventually(t, 5*time.Second, "the loss is noticed", func() bool {
			_, whole, err := a.roster.Load().Mark(backend(t))
			return err == nil && whole
		})
		got, err = a.getChat(backend(t), proto.GetChatReq{ChatID: "c"})
		require.NoError(t, err)
		require.Equal(t, want, got, "rebuilt from the log")
		require.Equal(t, joined, a.opened(t, "bob", "x").Chats[0].Joined, "a new role is no new joining")

		_, err = a.getChat(backend(t), proto.GetChatReq{ChatID: "none"})
		requireCode(t, proto.ChatNotFound, err)
	})
}

func TestOnlyBackendsAdminister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	ctx := as(t, "ann")
	_, put := a.putChat(ctx, proto.PutChatReq{ChatID: "c"})
	_, patch := a.patchChat(ctx, proto.PutChatReq{ChatID: "c"})
	_, get := a.getChat(ctx, proto.GetChatReq{ChatID: "c"})
	_, add := a.addMembers(ctx, proto.AddMembersReq{ChatID: "c", UserID: "ann"})
	_, remove := a.removeMember(ctx, proto.RemoveMemberReq{ChatID: "c", UserID: "ann"})
	for _, err := range []error{put, patch, get, add, remove} {
		requireCode(t, proto.PermissionDenied, err)
	}
	_, err := a.send(backend(t), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x"})
	requireCode(t, proto.AuthenticationRequired, err)
}

// A removal counts for every instance from its ack on, and a return too.
func TestRemovalCountsAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		both := []*instance{w.instance(), w.instance()}
		both[0].chat(t, "c", "ann", "bob")
		for n := range 20 {
			at := both[n%2]
			for _, i := range both {
				i.say(t, "bob", "c", "in")
			}
			_, err := at.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob", Reason: "banned"})
			require.NoError(t, err)
			at.say(t, "ann", "c", "between")
			for _, i := range both {
				_, err := i.send(as(t, "bob"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "out"})
				requireCode(t, proto.ChatNotFound, err)
				_, err = i.history(as(t, "bob"), proto.HistoryReq{ChatID: "c"})
				requireCode(t, proto.ChatNotFound, err)
				require.Empty(t, i.opened(t, "bob", "x").Chats)
				page, err := i.backlog(as(t, "bob"), proto.BacklogReq{Limit: 1, Chats: []proto.BacklogChat{{ChatID: "c", UpToSeq: 1}}})
				require.NoError(t, err)
				require.Equal(t, []string{"c"}, page.Gone)
				require.Empty(t, page.Items)
			}
			_, err = both[(n+1)%2].addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: "bob"})
			require.NoError(t, err)
			opened := at.opened(t, "bob", "x").Chats
			require.Len(t, opened, 1)
			require.EqualValues(t, 3*(n+1), opened[0].LastSeq)
			for _, it := range at.drain(t, "bob", "x", 100) {
				require.NotEqual(t, "between", decode(t, it.Body).Message.EncryptedContent, "what was said before a return is not owed")
			}
		}
	})
}

// Two instances that change one chat at once: versions stay dense and nothing is lost.
func TestConcurrentMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	both := []*instance{w.instance(), w.instance()}
	both[0].chat(t, "c", "ann")
	done := make(chan error)
	const n = 40
	for i := range n {
		go func() {
			_, err := both[i%2].addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: name(i)})
			done <- err
		}()
	}
	for range n {
		require.NoError(t, <-done)
	}
	for _, i := range both {
		got, err := i.getChat(backend(t), proto.GetChatReq{ChatID: "c"})
		require.NoError(t, err)
		require.Equal(t, n+1, got.MemberCount)
		require.Equal(t, uint64(n+1), got.Version)
	}
}

// An instance that dies after the log has the change and before Redis has it.
func TestMemberAddedByTheDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	body := `{"chatId":"c","userId":"bob","timestamp":"2026-01-01T00:00:00.000Z","kind":"membership","role":"member","version":2}`
	require.NoError(t, a.stop())

	b := w.start(func(s *Service) {
		_, err := s.log.Append(backend(t), &eventlog.Append{Subject: "ev.chat.c.meta", After: 1, Event: "chat:member-joined", Body: []byte(body)})
		require.NoError(t, err)
	})
	require.NoError(t, b.gate.wait(backend(t)))
	require.Len(t, b.opened(t, "bob", "x").Chats, 1, "the start reads what came after the mark")

	// The same while it runs: the live copy is enough.
	body = `{"chatId":"c","userId":"cat","timestamp":"2026-01-01T00:00:00.000Z","kind":"membership","role":"member","version":3}`
	_, err := b.log.Append(backend(t), &eventlog.Append{Subject: "ev.chat.c.meta", After: 2, Event: "chat:member-joined", Body: []byte(body)})
	require.NoError(t, err)
	servicestest.Eventually(t, 5*time.Second, "the live change is applied", func() bool { return len(b.opened(t, "cat", "x").Chats) == 1 })
}

func TestOpenPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	w.cfg.ChatPolicy = PolicyOpen
	a, b := w.instance(), w.instance()
	require.Equal(t, uint64(1), a.say(t, "ann", "c", "one").Seq)
	res, err := b.join(as(t, "bob"), proto.JoinChatReq{ChatID: "c"})
	require.NoError(t, err)
	require.Equal(t, proto.JoinChatRes{
		ChatID: "c", LastSeq: 1, ReadSeq: 1, Role: proto.RoleMember, Version: 2,
		Receipts: []proto.MemberReceipt{{UserID: "ann", DeliveredSeq: 1, ReadSeq: 1}},
	}, res)
	require.Len(t, a.opened(t, "bob", "x").Chats, 1)
	got, err := a.getChat(backend(t), proto.GetChatReq{ChatID: "c"})
	require.NoError(t, err)
	require.Equal(t, 2, got.MemberCount)
	require.Equal(t, uint64(2), got.Version)

	cfg := w.cfg
	cfg.Production = true
	require.ErrorContains(t, cfg.Validate(), "CHAT_POLICY")
}

// Ids that would mean something to NATS or Redis mean nothing special here.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		ids := []string{"a.b", "*", ">", "a b", "{x}", "c}:members", "=Kg", "👩‍👩‍👧", "ev.chat.*.msg", "a:b", "é", "$JS.API.>"}
		for _, id := range ids {
			if proto.CheckID(id) != nil {
				continue
			}
			a.chat(t, id, id, "ann")
			require.Equal(t, uint64(1), a.say(t, id, id, "by "+id).Seq)
		}
		for _, id := range ids {
			if proto.CheckID(id) != nil {
				continue
			}
			require.Equal(t, []string{"by " + id}, a.texts(t, id, id))
			chats := a.opened(t, id, id).Chats
			require.Len(t, chats, 1, id)
			require.Equal(t, id, chats[0].ChatID)
			a.deliver(t, id, id, proto.DeliveredReq{ChatID: id, UpToSeq: 1})
		}
		flush(t, redis)
		require.Greater(t, len(a.opened(t, "ann", "x").Chats), 9)
	})
}

// The whole way: a request over NATS, the checks of the payload, the ack's bytes.
func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	caller := servicestest.NewHost(t, "caller", w.nats, w.redis)
	ask := func(row proto.Row, actor proto.Actor, body string) services.Reply {
		t.Helper()
		reply, err := caller.Request(context.Background(), row.Subject, actor, []byte(body), services.WithRow(row))
		require.NoError(t, err)
		return reply
	}
	ann := proto.Actor{User: "ann", Name: "Ann", Socket: "s1"}
	for body, field := range map[string]string{
		`{"encryptedContent":"x"}`:                                       "chatId",
		`{"chatId":"c"}`:                                                 "encryptedContent",
		`{"chatId":"c","encryptedContent":5}`:                            "encryptedContent",
		`{"chatId":"c","encryptedContent":"x","messageType":"smoke"}`:    "messageType",
		`{"chatId":"c","encryptedContent":"x","tempId":"a b"}`:           "tempId",
		`{"chatId":"c","encryptedContent":"x","metadata":[]}`:            "metadata",
		`{"chatId":"c","encryptedContent":"x","mentions":["ok",""]}`:     "mentions[1]",
		`{"chatId":"c","encryptedContent":"x","ttlSec":1}`:               "ttlSec",
		`{"chatId":"c","chatId":"d","encryptedContent":"x"}`:             "chatId",
		`{"chatId":"c","encryptedContent":"x","forwardFrom":{}}`:         "forwardFrom.chatId",
		`{"chatId":"c","encryptedContent":"x","replyToId":"\u0000"}`:     "replyToId",
		`{"chatId":"c","encryptedContent":"x","metadata":{"a":1,"a":2}}`: "",
	} {
		reply := ask(proto.SendMessage.Row, ann, body)
		require.NotNil(t, reply.Err, body)
		require.Equal(t, proto.InvalidPayload, reply.Err.Code, body)
		if field != "" {
			require.Equal(t, field, reply.Err.Field, body)
		}
	}
	reply := ask(proto.SendMessage.Row, ann, `{"chatId":"c","encryptedContent":"x","tempId":"t","unknown":{"a":[1]}}`)
	require.Nil(t, reply.Err)
	require.Regexp(t, `^\{"success":true,"message":\{"id":"msg_[0-9A-Z]{26}","chatId":"c","senderId":"ann","encryptedContent":"x","messageType":"text","createdAt":"[^"]+","status":"sent","tempId":"t","seq":1\},"sender":\{"id":"ann","username":"Ann"\},"requestId":"[0-9a-f]{32}"\}$`, string(reply.Body))
	for row, body := range map[*proto.Row]string{
		&proto.History.Row: `{"chatId":"c"}`, &proto.JoinChat.Row: `{"chatId":"c"}`, &proto.MarkDelivered.Row: `{"chatId":"c","upToSeq":1}`,
		&proto.MarkRead.Row:   `{"chatId":"c","upToSeq":1}`,
		&proto.OpenDevice.Row: `{}`, &proto.Backlog.Row: `{"chats":[{"chatId":"c","afterSeq":0,"upToSeq":1}],"limit":10}`,
	} {
		reply := ask(*row, ann, body)
		require.Nil(t, reply.Err, row.Subject)
	}
	for row, body := range map[*proto.Row]string{
		&proto.PutChat.Row: `{"chatId":"c","name":"n"}`, &proto.PatchChat.Row: `{"chatId":"c","name":"m"}`, &proto.GetChat.Row: `{"chatId":"c"}`,
		&proto.AddMembers.Row: `{"chatId":"c","userId":"bob"}`, &proto.RemoveMember.Row: `{"chatId":"c","userId":"bob"}`,
	} {
		require.Nil(t, ask(*row, proto.Actor{Backend: true}, body).Err, row.Subject)
		require.Equal(t, proto.PermissionDenied, ask(*row, ann, body).Err.Code, row.Subject)
	}
}
