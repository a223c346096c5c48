package chat

import (
	"context"
	"slices"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// refers says whether a send names messages or users that must be looked up; a
// plain one costs nothing here.
func refers(r *proto.SendMessageReq) bool {
	return r.ReplyToID != "" || r.ThreadID != "" || r.ForwardFrom != nil
}

// checkReferences looks at every message a send names: a reply must be to one
// that is still there, a thread may hang on one that is gone, and what is
// forwarded must be readable by the sender.
func (s *Service) checkReferences(ctx context.Context, send *sending) error {
	r := send.req
	if r.ReplyToID != "" {
		t, err := s.reference(ctx, send.chat.token, r.ReplyToID, "replyToId")
		if err != nil {
			return err
		}
		if goneAt(&t.sent.Message, t.newest, s.host.Now()) != nil {
			return errNoMessage("replyToId")
		}
	}
	if r.ThreadID != "" && r.ThreadID != r.ReplyToID {
		if _, err := s.reference(ctx, send.chat.token, r.ThreadID, "threadId"); err != nil {
			return err
		}
	}
	if r.ForwardFrom != nil {
		return s.checkForward(ctx, send)
	}
	return nil
}

// reference finds a message that a field of a send names.
func (s *Service) reference(ctx context.Context, chat proto.Token, messageID, field string) (*target, error) {
	t, _, err := s.target(ctx, chat, messageID, 0)
	if err == nil && t == nil {
		err = errNoMessage(field)
	}
	return t, err
}

// checkForward finds the message that is forwarded, and who sent it. To a
// stranger a foreign chat and a message that does not exist look the same.
func (s *Service) checkForward(ctx context.Context, send *sending) error {
	const field = "forwardFrom.messageId"
	from := send.req.ForwardFrom
	c, err := s.chatOf(from.ChatID)
	if err != nil {
		return err
	}
	view, err := s.state.ForSend(ctx, c.keys, projection.Ask{User: send.user})
	if _, ok, err := s.membership(ctx, c, send.caller, view, err); err != nil {
		return err
	} else if !ok {
		return errNoMessage(field)
	}
	t, err := s.reference(ctx, c.token, from.MessageID, field)
	if err != nil {
		return err
	}
	m := &t.sent.Message
	if goneAt(m, t.newest, s.host.Now()) != nil {
		return errNoMessage(field)
	}
	send.forwarded = &proto.ForwardedFrom{ChatID: m.ChatID, MessageID: m.ID, SenderID: m.SenderID}
	return nil
}

// mentioned are those of users who are members of the chat, each once. A
// mention that is out of date must not lose a message: it is left out.
func (s *Service) mentioned(ctx context.Context, chat proto.Token, users []string) ([]string, error) {
	users = distinct(users)
	tokens := make([]proto.Token, len(users))
	for i, id := range users {
		var err error
		if tokens[i], err = proto.EncodeID(id); err != nil {
			return nil, proto.FieldError("mentions", err)
		}
	}
	members, err := s.roster.Load().Are(ctx, chat, tokens)
	if err != nil {
		return nil, err
	}
	if slices.Contains(members, false) { // no members, or a roster that was lost a moment ago?
		if err := s.whole(ctx); err != nil {
			return nil, err
		}
		if members, err = s.roster.Load().Are(ctx, chat, tokens); err != nil {
			return nil, err
		}
	}
	present := make([]string, 0, len(users))
	for i, id := range users {
		if members[i] {
			present = append(present, id)
		}
	}
	return present, nil
}

// distinct is users without repeats, in their order.
func distinct(users []string) []string {
	out := make([]string, 0, len(users))
	for _, id := range users {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// mentionsOf settles whom a send mentions. While Redis is away nobody can be
// looked up, and all stay.
func (s *Service) mentionsOf(ctx context.Context, send *sending, blind bool) (err error) {
	if blind {
		send.mentions = distinct(send.req.Mentions)
		return nil
	}
	send.mentions, err = s.mentioned(ctx, send.chat.token, send.req.Mentions)
	return err
}
