package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// notices makes the notifications that an entry of a chat asks for, for those who
// are members of it.
func (d *Decider) notices(ctx context.Context, e *decide.Entry) error {
	answered, err := d.answered(ctx, e)
	if err != nil {
		return err
	}
	all, err := decide.Notices(e, answered, d.host.Now())
	if err != nil {
		return malformed(err)
	}
	return d.notifyAll(ctx, all)
}

// notifyAll makes notifications, for those who are members of their chats.
func (d *Decider) notifyAll(ctx context.Context, all []proto.NotifyReq) (err error) {
	for i := range all {
		r := &all[i]
		if r.UserIDs, err = d.members(ctx, r.ChatID, r.UserIDs); err != nil {
			return err
		}
		if len(r.UserIDs) == 0 {
			continue
		}
		if err := d.notify.Notify(ctx, r); err != nil {
			return fmt.Errorf("notify of %s: %w", r.Type, err)
		}
		d.metrics.noticed(r)
	}
	return nil
}

// answered is the author of the message that an entry is a reply to; empty where it
// is none, or its sender may not see that message any more.
func (d *Decider) answered(ctx context.Context, e *decide.Entry) (string, error) {
	sent, err := e.Message()
	if err != nil {
		return "", malformed(err)
	}
	if sent == nil || sent.Message.ReplyToID == "" {
		return "", nil
	}
	found, err := d.find(ctx, sent.Message.SenderID, sent.Message.ChatID, sent.Message.ReplyToID)
	if err != nil || found == nil {
		return "", err
	}
	return found.SenderID, nil
}

// members are those of some users who are members of a chat.
func (d *Decider) members(ctx context.Context, chat string, users []string) ([]string, error) {
	out := make([]string, 0, len(users))
	for part := range slices.Chunk(users, proto.MaxReach) {
		res, err := services.Do(ctx, d.host, proto.MembersAmong, proto.Actor{}, proto.AmongReq{ChatID: chat, UserIDs: part})
		switch {
		case hasCode(err, proto.ChatNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("ask for members: %w", err)
		}
		out = append(out, res.Members...)
	}
	return out, nil
}

func hasCode(err error, codes ...proto.Code) bool {
	var known *proto.Error
	return errors.As(err, &known) && slices.Contains(codes, known.Code)
}
