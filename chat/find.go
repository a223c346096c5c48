package chat

import (
	"context"

	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// find is a message as one user may see it. A service asks, whose own state hangs
// on messages.
func (s *Service) find(ctx context.Context, req proto.FindMessageReq) (proto.FindMessageRes, error) {
	if err := services.ServiceOnly(ctx); err != nil {
		return proto.FindMessageRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.FindMessageRes{}, err
	}
	res, err := s.findMessage(ctx, &req)
	return res, unavailable(err)
}

func (s *Service) findMessage(ctx context.Context, req *proto.FindMessageReq) (res proto.FindMessageRes, err error) {
	who := caller{Actor: proto.Actor{User: req.UserID, Device: defaultDevice}, device: proto.Token(defaultDevice)}
	if who.user, err = proto.EncodeID(req.UserID); err != nil {
		return res, proto.FieldError("userId", err)
	}
	chatID := req.ChatID
	if chatID == "" {
		if chatID, err = s.chatWithMessage(ctx, who, req.MessageID); err != nil {
			return res, err
		}
	}
	c, err := s.chatOf(chatID)
	if err != nil {
		return res, err
	}
	view, err := s.state.ForSend(ctx, c.keys, projection.Ask{User: who.user})
	if _, is, err := s.membership(ctx, c, who, view, err); err != nil {
		return res, err
	} else if !is {
		return res, errNoChat()
	}
	t, _, err := s.target(ctx, c.token, req.MessageID, 0)
	switch {
	case err != nil:
		return res, err
	case t == nil:
		return res, errNoMessage("messageId")
	}
	when, err := s.hidden(ctx, who.user, []revisions.Ask{{Chat: c.token, Seqs: []uint64{t.seq}}})
	if err != nil {
		return res, err
	}
	present(&t.sent.Message, t.newest, s.host.Now())
	m := &t.sent.Message
	return proto.FindMessageRes{
		ChatID: chatID, SenderID: m.SenderID, SenderName: t.sent.Sender.Username, Seq: t.seq, Mentions: m.Mentions, ExpiresAt: m.ExpiresAt,
		Deleted: m.DeletedAt != nil || when[0][0] != 0,
	}, nil
}

// chatWithMessage is the user's chat that has a message. Its id says at which seq
// to look, in each of them.
func (s *Service) chatWithMessage(ctx context.Context, who caller, messageID string) (string, error) {
	_, seq, ok := parseMessageID(messageID)
	if !ok || seq == 0 {
		return "", errNoMessage("messageId")
	}
	device, err := s.wholeDevice(ctx, who)
	if err != nil {
		return "", err
	}
	lasts, err := s.lasts(ctx, device.Chats, 0)
	if err != nil {
		return "", err
	}
	var spans []projection.Span
	for _, chat := range device.Chats {
		if lasts[chat].Seq >= seq {
			spans = append(spans, projection.Span{Chat: chat, From: seq, To: seq})
		}
	}
	at, err := s.positions(ctx, spans)
	if err != nil {
		return "", err
	}
	var places []uint64
	var chats []proto.Token
	for i := range at {
		if at[i][0] != 0 {
			places, chats = append(places, at[i][0]), append(chats, spans[i].Chat)
		}
	}
	if len(places) == 0 {
		return "", errNoMessage("messageId")
	}
	entries, err := s.log.Get(ctx, places)
	if err != nil {
		return "", err
	}
	for i := range entries {
		if hasMessageID(entries[i].Body, messageID) {
			return chats[i].ID()
		}
	}
	return "", errNoMessage("messageId")
}
