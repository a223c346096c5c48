package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// chatService answers what the gateway asks of chat, on a real NATS and the
// real stream, and lets a test decide who is a member and how far a device is.
type chatService struct {
	t    testing.TB
	host *services.Host
	stop func() error

	mu        sync.Mutex
	chats     map[string]*chatState
	delivered map[string]uint64               // user/device/chat
	slow      chan struct{}                   // not nil: sends wait for it
	stored    map[string]func() proto.LogItem // by request id: a repeat gets the message of the first
	pageLimit int                             // 0: as asked
	opens     int                             // questions of open
	joined    func()                          // not nil: called when an answer to join is made and not yet sent
	presence  *presenceService
	behind    map[string]former // by chat: a removal that open has not heard of
	silent    bool              // what a page leaves out is not said to be absent
	made      func()            // not nil: called when an answer to open is made and not yet sent
	paged     func()            // the same for a page of backlog
	refuse    string            // a chat whose messages no page can have
	refused   int               // pages that were refused
	openPage  int               // chats of one answer to open, 0: all

	judge func(*proto.SendMessageReq) error // not nil: called before a message is stored
}

type former struct {
	user    string
	version uint64
}

type chatState struct {
	version  uint64
	members  map[string]uint64 // user → position of joining
	messages []proto.LogItem
	absent   map[uint64]bool // seqs that a page leaves out
	metaLast uint64
}

func runChat(tb testing.TB, n *servicestest.NATS, r *servicestest.Redis) *chatService {
	tb.Helper()
	c := &chatService{t: tb, chats: map[string]*chatState{}, delivered: map[string]uint64{}, stored: map[string]func() proto.LogItem{}}
	c.host = servicestest.NewHost(tb, "chat", n, r)
	require.NoError(tb, c.host.EnsureStreams(tb.Context(), true, proto.Events))
	c.host.Serve(
		services.On(proto.OpenDevice, c.open), services.On(proto.Backlog, c.backlog),
		services.On(proto.SendMessage, c.send), services.On(proto.JoinChat, c.join),
		services.On(proto.PutChat, c.put), services.On(proto.GetChat, c.get),
		services.On(proto.JoinChats, c.joinMultiple), services.On(proto.ActiveMembers, c.active),
		services.On(proto.RemoveMember, c.leave),
	)
	c.stop = servicestest.Run(tb, c.host, servicestest.Service{})
	return c
}

// with changes what chat does, or reads what it has seen.
func (c *chatService) with(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

func (c *chatService) chat(id string) *chatState {
	s := c.chats[id]
	if s == nil {
		s = &chatState{members: map[string]uint64{}}
		c.chats[id] = s
	}
	return s
}

func (c *chatService) publish(subject, event string, seq uint64, socket string, body []byte) uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	header := nats.Header{proto.HeaderEvent: {event}}
	if seq > 0 {
		header.Set(proto.HeaderSeq, strconv.FormatUint(seq, 10))
	}
	if socket != "" {
		header.Set(proto.HeaderSocket, socket)
	}
	ack, err := c.host.JetStream().PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: body})
	require.NoError(c.t, err)
	return ack.Sequence
}

func token(tb testing.TB, id string) proto.Token {
	tb.Helper()
	tok, err := proto.EncodeID(id)
	require.NoError(tb, err)
	return tok
}

// add makes users members, with one log entry each.
func (c *chatService) add(chat string, users ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.chat(chat)
	for _, user := range users {
		s.version++
		body, err := wire.Marshal(proto.MemberJoined{ChatID: chat, UserID: user, Timestamp: proto.At(time.Now()), Kind: proto.KindMembership, Version: s.version})
		require.NoError(c.t, err)
		s.metaLast = c.publish(proto.ChatLog(token(c.t, chat), proto.KindMeta), proto.MemberJoinedEvent.Name, 0, "", body)
		s.members[user] = s.metaLast
	}
}

func (c *chatService) remove(chat, user string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.chat(chat)
	s.version++
	delete(s.members, user)
	body, err := wire.Marshal(proto.MemberLeft{ChatID: chat, UserID: user, Timestamp: proto.At(time.Now()), Kind: proto.KindMembership, Reason: "removed", Version: s.version})
	require.NoError(c.t, err)
	s.metaLast = c.publish(proto.ChatLog(token(c.t, chat), proto.KindMeta), proto.MemberLeftEvent.Name, 0, "", body)
}

// say stores a message without a request.
func (c *chatService) say(chat, user, text string) proto.LogItem {
	c.t.Helper()
	return c.store(proto.Actor{User: user}, &proto.SendMessageReq{ChatID: chat, EncryptedContent: text})
}

func (c *chatService) store(actor proto.Actor, req *proto.SendMessageReq) proto.LogItem {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.chat(req.ChatID)
	seq := uint64(len(s.messages) + 1)
	m := proto.Message{
		ID: fmt.Sprintf("msg_%s_%d", req.ChatID, seq), ChatID: req.ChatID, SenderID: actor.User, EncryptedContent: req.EncryptedContent,
		MessageType: "text", CreatedAt: proto.At(time.Now()), Status: "sent", Seq: seq,
	}
	body, err := wire.Marshal(proto.NewMessage{Message: m, Sender: proto.Sender{ID: actor.User, Username: actor.Name}})
	require.NoError(c.t, err)
	item := proto.LogItem{ChatID: req.ChatID, Seq: seq, Body: body}
	item.Position = c.publish(proto.ChatLog(token(c.t, req.ChatID), proto.KindMessage), proto.MessageNew.Name, seq, actor.Socket, body)
	s.messages = append(s.messages, item)
	return item
}

// edit gives a message new content, in the log and for pages to come.
func (c *chatService) edit(chat string, seq uint64, text string) (position uint64) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	item := &c.chat(chat).messages[seq-1]
	var m proto.NewMessage
	require.NoError(c.t, wire.Unmarshal(item.Body, &m))
	m.Message.EncryptedContent = text
	var err error
	item.Body, err = wire.Marshal(m)
	require.NoError(c.t, err)
	body, err := wire.Marshal(proto.MessageEdited{ChatID: chat, MessageID: m.Message.ID, Seq: seq, EncryptedContent: text, EditedBy: m.Message.SenderID, Version: 2})
	require.NoError(c.t, err)
	return c.publish(proto.ChatLog(token(c.t, chat), proto.KindEdit), proto.MessageEditedEvent.Name, seq, "", body)
}

func (c *chatService) setDelivered(user, device, chat string, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered[user+"/"+device+"/"+chat] = seq
}

func actorOf(ctx context.Context) proto.Actor {
	call, _ := services.CallFrom(ctx)
	return call.Actor
}

func (c *chatService) open(ctx context.Context, req proto.OpenReq) (proto.OpenRes, error) {
	actor := actorOf(ctx)
	stream, err := c.host.JetStream().Stream(ctx, proto.Events.Name)
	if err != nil {
		return proto.OpenRes{}, err
	}
	defer func() {
		c.mu.Lock()
		made := c.made
		c.opens++
		c.mu.Unlock()
		if made != nil {
			made()
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	res := proto.OpenRes{
		Epoch: stream.CachedInfo().Config.Metadata[proto.MetadataEpoch], Position: stream.CachedInfo().State.LastSeq, Chats: []proto.ChatHead{},
	}
	for _, id := range slices.Sorted(maps.Keys(c.chats)) {
		s := c.chats[id]
		if string(token(c.t, id)) <= req.Cursor {
			continue
		}
		if c.openPage > 0 && len(res.Chats) == c.openPage {
			res.NextCursor = string(token(c.t, res.Chats[c.openPage-1].ChatID))
			break
		}
		joined, member := s.members[actor.User]
		version := s.version
		if old := c.behind[id]; old.user == actor.User {
			version, member = old.version, true
		}
		if !member {
			continue
		}
		head := proto.ChatHead{ChatID: id, Version: version, Joined: joined, LastSeq: uint64(len(s.messages))}
		if n := len(s.messages); n > 0 {
			head.LastPosition = s.messages[n-1].Position
		}
		delivered, known := c.delivered[actor.User+"/"+actor.Device+"/"+id]
		if !known {
			delivered = head.LastSeq
		}
		head.Delivered, head.Missed = delivered, head.LastSeq-delivered
		res.Chats = append(res.Chats, head)
	}
	return res, nil
}

func (c *chatService) backlog(ctx context.Context, req proto.BacklogReq) (proto.BacklogRes, error) {
	actor := actorOf(ctx)
	defer func() {
		c.mu.Lock()
		paged := c.paged
		c.mu.Unlock()
		if paged != nil {
			paged()
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := req.Limit
	if c.pageLimit > 0 {
		limit = c.pageLimit
	}
	res := proto.BacklogRes{Items: []proto.LogItem{}}
	room := c.host.AnswerRoom()
	for _, r := range req.Chats {
		if r.ChatID == c.refuse {
			c.refused++
			return res, proto.Errorf(proto.PayloadTooLarge, "the answer is too large")
		}
		s := c.chat(r.ChatID)
		if _, member := s.members[actor.User]; !member {
			res.Gone = append(res.Gone, r.ChatID)
			continue
		}
		for _, m := range s.messages {
			if m.Seq <= r.AfterSeq || m.Seq > r.UpToSeq {
				continue
			}
			if s.absent[m.Seq] {
				if !c.silent {
					res.Absent = append(res.Absent, proto.SeqRange{ChatID: r.ChatID, FromSeq: m.Seq, ToSeq: m.Seq})
				}
				continue
			}
			if len(res.Items) == limit || !room.Fits(len(m.Body)+len(m.ChatID)+96) {
				res.More = true
				break
			}
			res.Items = append(res.Items, m)
		}
	}
	return res, nil
}

func (c *chatService) send(ctx context.Context, req proto.SendMessageReq) (proto.SendMessageRes, error) {
	call, _ := services.CallFrom(ctx)
	actor := call.Actor
	c.mu.Lock()
	_, member := c.chat(req.ChatID).members[actor.User]
	slow, judge := c.slow, c.judge
	store := c.stored[call.RequestID]
	if store == nil {
		store = sync.OnceValue(func() proto.LogItem { return c.store(actor, &req) })
		c.stored[call.RequestID] = store
	}
	c.mu.Unlock()
	if judge != nil {
		if err := judge(&req); err != nil {
			return proto.SendMessageRes{}, err
		}
	}
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
		}
	}
	if !member {
		return proto.SendMessageRes{}, proto.Errorf(proto.ChatNotFound, "no such chat")
	}
	item := store()
	var stored proto.NewMessage
	if err := wire.Unmarshal(item.Body, &stored); err != nil {
		return proto.SendMessageRes{}, err
	}
	stored.Message.TempID = req.TempID
	return proto.SendMessageRes{Message: stored.Message, Sender: stored.Sender}, nil
}

func (c *chatService) put(ctx context.Context, req proto.PutChatReq) (proto.ChatRes, error) {
	call, _ := services.CallFrom(ctx)
	if !call.Actor.Backend {
		return proto.ChatRes{}, proto.Errorf(proto.PermissionDenied, "for backends")
	}
	for _, m := range req.Members {
		c.add(req.ChatID, m.UserID)
	}
	return proto.ChatRes{ChatID: req.ChatID, Name: call.IdempotencyKey, MemberCount: len(req.Members)}, nil
}

func (c *chatService) get(_ context.Context, req proto.GetChatReq) (proto.ChatRes, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.chats[req.ChatID]
	if !ok {
		return proto.ChatRes{}, proto.Errorf(proto.ChatNotFound, "no such chat")
	}
	return proto.ChatRes{ChatID: req.ChatID, Name: fmt.Sprint(req.Cursor, " ", proto.ValueOr(req.Limit, 0)), MemberCount: len(s.members)}, nil
}

// leave tells what it was asked.
func (c *chatService) leave(_ context.Context, req proto.RemoveMemberReq) (proto.MembersRes, error) {
	return proto.MembersRes{ChatID: req.ChatID + " " + req.UserID + " " + req.Reason}, nil
}
