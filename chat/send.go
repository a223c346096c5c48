package chat

import (
	"context"
	"errors"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// sendEndpoint is proto.SendMessage with an answer that encodes itself.
var sendEndpoint = proto.Endpoint[proto.SendMessageReq, sendRes]{Row: proto.SendMessage.Row}

// sending is one send on its way.
type sending struct {
	caller
	req  *proto.SendMessageReq
	chat *chatState
	id   identity
	// What is stored of the request's own claims; see references.go.
	mentions  []string
	forwarded *proto.ForwardedFrom
	// uncertain: an append was tried and its outcome is not known.
	uncertain bool
}

// errAgain says that the state moved under a send: look again and retry.
var errAgain = errors.New("state moved")

// Pauses between tries of one send while the log does not take it; an election
// takes 4 to 9 s, a lost race no time at all.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// send stores a message: member? → idempotent? → references? → append →
// projection → ack. It tries until the request's deadline; each try looks at
// membership again, so that a removal in between wins.
func (s *Service) send(ctx context.Context, req proto.SendMessageReq) (sendRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return sendRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return sendRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return sendRes{}, err
	}
	send := &sending{caller: who, req: &req, chat: c, id: identify(who.User, &req, who.requestID)}
	c.appending.Lock()
	defer c.appending.Unlock()
	for wait := firstPause; ; {
		res, err := s.trySend(ctx, send)
		switch {
		case err == nil:
			return res, nil
		case errors.Is(err, errAgain):
			count(s.metrics.conflicts, 1)
			if ctx.Err() == nil {
				continue
			}
		case errors.Is(err, eventlog.ErrUncertain), errors.Is(err, eventlog.ErrUnavailable):
			send.uncertain = send.uncertain || errors.Is(err, eventlog.ErrUncertain)
			c.known = false
			if pause(ctx, wait) {
				wait = min(2*wait, lastPause)
				continue
			}
		}
		if send.uncertain {
			return sendRes{}, proto.Errorf(proto.Timeout, "the log did not answer in time; send again with the same tempId")
		}
		if errors.Is(err, errAgain) {
			err = context.DeadlineExceeded
		}
		return sendRes{}, unavailable(err)
	}
}

func (s *Service) trySend(ctx context.Context, send *sending) (sendRes, error) {
	c := send.chat
	key := send.id.key
	if send.id.content == "" {
		key = "" // without a tempId there is nothing to recognise
	}
	ask := projection.Ask{User: send.user, Key: key, At: s.host.Now()}
	view, err := s.state.ForSend(ctx, c.keys, ask)
	if _, err := s.admit(ctx, c, send.caller, view, err); err != nil {
		return sendRes{}, err
	}
	blind := err != nil // Redis is away; the log's own window recognises repeats
	switch {
	case blind && refers(send.req):
		return sendRes{}, err
	case blind:
		_, view.Meta, _ = c.seen(send.user, s.host.Now())
	case !view.IsMember:
		return sendRes{}, errAgain // admitted by a second look, which knows more than this one
	}
	if err := s.toHead(ctx, c, &view); err != nil {
		return sendRes{}, err
	}
	if view.Meta < c.meta {
		// The membership is older than a change that the log has.
		if blind {
			return sendRes{}, err
		}
		if err := s.healMeta(ctx, c.token, view.Meta); err != nil {
			return sendRes{}, err
		}
		if !pause(ctx, firstPause) {
			return sendRes{}, eventlog.ErrUnavailable
		}
		return sendRes{}, errAgain
	}
	if !blind && view.Head.Seq < c.seq {
		// Redis has lost ground: what it says of this key may be wrong.
		if err := s.heal(ctx, c.token, c.seq); err != nil {
			return sendRes{}, err
		}
		if view, err = s.state.ForSend(ctx, c.keys, ask); err != nil {
			return sendRes{}, err
		}
	}
	if view.Sent.Position != 0 {
		if view.Sent.Content != send.id.content {
			return sendRes{}, errTempIDReused()
		}
		return s.storedBefore(ctx, send, view.Sent.Position, blind)
	}
	if refers(send.req) {
		if err := s.checkReferences(ctx, send); err != nil {
			return sendRes{}, err
		}
	}
	if len(send.req.Mentions) > 0 {
		if err := s.mentionsOf(ctx, send, blind); err != nil {
			return sendRes{}, err
		}
	}
	return s.appendMessage(ctx, send, blind)
}

// toHead asks the log where the chat stands, if that is not remembered or the
// projection knows of more.
func (s *Service) toHead(ctx context.Context, c *chatState, view *projection.SendView) error {
	if c.known && view.Head.Seq <= c.seq && view.Meta <= c.meta {
		return nil
	}
	return s.reloadHead(ctx, c, max(view.Head.Position, view.Meta))
}

// reloadHead reads the chat's last entries from the log, at least as of what is known
// to be stored. With 0, the append finds out if that was not all.
func (s *Service) reloadHead(ctx context.Context, c *chatState, atLeast uint64) error {
	for {
		newest, err := s.log.LastOfChat(ctx, c.token, atLeast)
		if err != nil {
			return err
		}
		var now place
		for _, e := range newest {
			now.fence = max(now.fence, e.Position)
			switch _, kind, _ := proto.ParseChatSubject(e.Subject); kind {
			case proto.KindMessage:
				now.seq, now.position = e.Seq, e.Position
			case proto.KindMeta:
				now.meta = e.Position
			default: // moves the fence
			}
		}
		if now.fence >= atLeast {
			c.known, c.place = true, now
			return nil
		}
		if !pause(ctx, firstPause) {
			return eventlog.ErrUnavailable
		}
	}
}

func (s *Service) appendMessage(ctx context.Context, send *sending, blind bool) (sendRes, error) {
	c := send.chat
	res := sendRes{Message: s.newMessage(send, c.seq+1), Sender: senderOf(send.Actor)}
	if res.Message.ExpiresAt != nil {
		if err := s.scheduleExpiry(ctx, &res.Message); err != nil {
			return sendRes{}, err
		}
	}
	body := make([]byte, 0, len(send.req.EncryptedContent)+len(send.req.Metadata)+512)
	body = appendNewMessage(body, &res.Message, &res.Sender)
	if s.beforeAppend != nil {
		s.beforeAppend()
	}
	ack, err := s.log.Append(ctx, &eventlog.Append{
		Subject: c.subject, Fence: c.all, After: c.fence, Key: send.id.key,
		Event: proto.MessageNew.Name, Seq: res.Message.Seq, Socket: send.Socket, Content: send.id.content,
		Trace: send.trace, Body: body,
	})
	if err != nil {
		return sendRes{}, s.notAppended(ctx, c, err)
	}
	if ack.Duplicate {
		return s.storedBefore(ctx, send, ack.Position, blind)
	}
	stored := projection.Stored{
		Keys: c.keys, Before: projection.Head{Seq: c.seq, Position: c.position}, Seq: res.Message.Seq, Position: ack.Position,
		At: res.Message.CreatedAt.Time, User: send.user, Device: send.device,
	}
	c.seq, c.position, c.fence = stored.Seq, stored.Position, stored.Position
	count(s.metrics.stored, 1)
	if send.id.content != "" {
		stored.Key, stored.Content = send.id.key, send.id.content
	}
	if res.Message.ExpiresAt != nil {
		stored.Expires = res.Message.ExpiresAt.Time
	}
	s.project(stored, s.sent(&sentRead{
		caller: send.caller, chat: c,
		message: said{seq: stored.Seq, position: stored.Position, id: res.Message.ID, author: send.User},
	}))
	res.Message.TempID = send.req.TempID
	return res, nil
}

// notAppended is what an append's error means for the send. Where the log has
// moved on, it looks how far.
func (s *Service) notAppended(ctx context.Context, c *chatState, err error) error {
	var behind *eventlog.WrongLastError
	if !errors.As(err, &behind) {
		return err
	}
	c.known = false
	if err := s.reloadHead(ctx, c, behind.Last); err != nil {
		return err
	}
	return errAgain
}

// projectStored writes a message to Redis without waiting: requests that follow
// in this chat run behind it in the same lane, and a failure shows as a hole.
func (s *Service) projectStored(m projection.Stored, done func(read uint64, ok bool, err error)) {
	s.state.Stored(m, done)
}

func (s *Service) newMessage(send *sending, seq uint64) proto.Message {
	r := send.req
	now := proto.At(s.host.Now())
	m := proto.Message{
		ID: messageID(now.Time, seq, send.id.mark), ChatID: r.ChatID, SenderID: send.User,
		EncryptedContent: r.EncryptedContent, MessageType: messageType(r), ReplyToID: r.ReplyToID, Metadata: metadata(r),
		CreatedAt: now, Status: "sent", Seq: seq, ThreadID: r.ThreadID, ForwardedFrom: send.forwarded,
	}
	if len(send.mentions) > 0 {
		m.Mentions = send.mentions
	}
	if r.TTLSec != nil {
		end := proto.At(now.Add(time.Duration(*r.TTLSec) * time.Second))
		m.ExpiresAt = &end
	}
	return m
}

func senderOf(a proto.Actor) proto.Sender {
	name := a.Name
	if name == "" {
		name = a.User
	}
	return proto.Sender{ID: a.User, Username: name, Avatar: a.Avatar}
}

func errTempIDReused() error {
	return &proto.Error{Code: proto.Conflict, Field: "tempId", Message: "tempId was used for another message in this chat"}
}
