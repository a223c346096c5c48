package reactions

import (
	"context"
	"slices"

	"supmesh.dev/proto"
	"supmesh.dev/reactions/board"
	"supmesh.dev/services"
)

// Frames, in bytes: what an answer has beside its messages, and a message beside its id,
// counts and one's own.
const (
	summaryFrame = 1 << 10
	messageFrame = len(`{"messageId":,"counts":{},"mine":[]},`)
)

// summary is what stands on messages of a chat, for one who is its member. Which of
// them there are, or are no more, is not asked: who shows them knows.
func (s *Service) summary(ctx context.Context, req proto.ReactionSummaryReq) (proto.ReactionSummaryRes, error) {
	res, err := s.summarize(ctx, &req)
	return res, unavailable(err)
}

func (s *Service) summarize(ctx context.Context, req *proto.ReactionSummaryReq) (res proto.ReactionSummaryRes, err error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return res, err
	}
	is, err := services.Do(ctx, s.host, proto.MembersAmong, proto.Actor{}, proto.AmongReq{ChatID: req.ChatID, UserIDs: []string{who.Actor.User}})
	if err != nil {
		return res, err
	}
	if len(is.Members) == 0 {
		return res, proto.Errorf(proto.ChatNotFound, "chat not found")
	}
	chat, err := proto.EncodeID(req.ChatID)
	if err != nil {
		return res, err
	}
	messages := make([]proto.Token, len(req.MessageIDs))
	for i, id := range req.MessageIDs {
		if messages[i], err = proto.EncodeID(id); err != nil {
			return res, err
		}
	}
	var pages []board.Page
	if err := s.whole(ctx, chat, func() (err error) {
		pages, err = s.board.Summaries(ctx, chat, who.User, messages)
		return err
	}); err != nil {
		return res, err
	}
	res = proto.ReactionSummaryRes{ChatID: req.ChatID, Messages: []proto.ReactionSummary{}}
	room := s.host.AnswerRoom()
	room.Fits(summaryFrame + proto.EncodedLen(req.ChatID))
	for i, p := range pages {
		if len(p.Counts) > 0 {
			slices.Sort(p.Mine)
			p.Counts = most(p.Counts)
			if !room.Fits(proto.EncodedLen(req.MessageIDs[i]) + messageFrame + tallyLen(&p)) {
				res.Rest = len(pages) - i
				return res, nil
			}
			res.Messages = append(res.Messages, proto.ReactionSummary{MessageID: req.MessageIDs[i], Counts: p.Counts, Mine: p.Mine})
		}
	}
	return res, nil
}
