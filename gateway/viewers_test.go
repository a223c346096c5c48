package gateway

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func (c *chatService) join(ctx context.Context, req proto.JoinChatReq) (proto.JoinChatRes, error) {
	actor := actorOf(ctx)
	c.mu.Lock()
	s := c.chat(req.ChatID)
	_, member := s.members[actor.User]
	res := proto.JoinChatRes{ChatID: req.ChatID, LastSeq: uint64(len(s.messages)), Role: proto.RoleMember, Version: s.version}
	joined := c.joined
	c.mu.Unlock()
	if joined != nil {
		joined()
	}
	if !member {
		return proto.JoinChatRes{}, proto.Errorf(proto.ChatNotFound, "no such chat")
	}
	return res, nil
}

func (c *chatService) joinMultiple(ctx context.Context, req proto.JoinChatsReq) (proto.JoinChatsRes, error) {
	var res proto.JoinChatsRes
	for _, id := range req.ChatIDs {
		one, err := c.join(ctx, proto.JoinChatReq{ChatID: id})
		if err != nil {
			res.Failed = append(res.Failed, proto.FailedJoin{ChatID: id, Code: proto.AsError(err).Code})
			continue
		}
		res.Joined, res.Versions = append(res.Joined, id), append(res.Versions, one.Version)
	}
	res.JoinedCount = len(res.Joined)
	return res, nil
}

func (c *chatService) active(_ context.Context, req proto.ActiveMembersReq) (proto.ActiveMembersRes, error) {
	users := c.viewing(req.ChatID)
	return proto.ActiveMembersRes{ChatID: req.ChatID, ActiveMembers: users, Count: len(users)}, nil
}

// viewing is the users of whom some socket is told to have a chat open.
func (c *chatService) viewing(chat string) []string { return c.presence.viewing(chat) }

func (c *chatService) awaitViewing(chat string, users ...string) {
	c.t.Helper()
	servicestest.Eventually(c.t, patience, chat+" is viewed by "+strings.Join(users, " "), func() bool { return slices.Equal(c.viewing(chat), users) })
}

// tellActive sends what presence sends when a user opens or closes a chat.
func (c *chatService) tellActive(chat, user string, joined bool) {
	c.t.Helper()
	event := proto.MemberLeftEvent.Name
	var payload any = proto.MemberLeft{ChatID: chat, UserID: user, Timestamp: proto.At(time.Now()), Kind: proto.KindActive}
	if joined {
		event = proto.MemberJoinedEvent.Name
		payload = proto.MemberJoined{ChatID: chat, UserID: user, Timestamp: proto.At(time.Now()), Kind: proto.KindActive}
	}
	body, err := wire.Marshal(payload)
	require.NoError(c.t, err)
	require.NoError(c.t, c.host.PublishEphemeral(proto.ChatEph(token(c.t, chat)), event, services.Except{User: token(c.t, user)}, body))
}

// another is a second gateway on the same NATS, Redis and chat service.
func (m *mesh) another(change ...func(*Config)) *mesh {
	m.t.Helper()
	other := &mesh{t: m.t, nats: m.nats, redis: m.redis, chat: m.chat, presence: m.presence}
	other.runGateway(change...)
	return other
}

// opens has the client open a chat.
func (c *client) opens(chat string) {
	c.t.Helper()
	g := c.ask("chat:join", `{"chatId":"`+chat+`"}`)
	require.Equal(c.t, "true", field(c.t, g.data, "success"), "%s", g.data)
}

func (c *client) types(data string) proto.TypingRes {
	c.t.Helper()
	var res struct {
		Success bool
		proto.TypingRes
	}
	g := c.ask("message:typing", data)
	g.into(c.t, &res)
	require.True(c.t, res.Success, "%s", g.data)
	return res.TypingRes
}

// sees is the next frame, which must say that user types.
func (c *client) sees(user string) proto.Typing {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, "message:typing", g.event, "%s", g.data)
	require.Empty(c.t, g.offset, "not durable")
	var what proto.Typing
	g.into(c.t, &what)
	require.Equal(c.t, user, what.UserID)
	return what
}

// seesEnd is the next frame, which must say that user types no more.
func (c *client) seesEnd(user, reason string) proto.StoppedTyping {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, "message:stop-typing", g.event, "%s", g.data)
	require.Empty(c.t, g.offset, "not durable")
	var what proto.StoppedTyping
	g.into(c.t, &what)
	require.Equal(c.t, user, what.UserID)
	require.Equal(c.t, reason, what.Reason)
	return what
}
