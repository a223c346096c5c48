package follow

import (
	"context"
	"fmt"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// edited follows an edit: whom it mentions anew is notified, whom it mentions no more has
// the notification cleared and its push withdrawn (CONTRACT §3).
func (d *Decider) edited(ctx context.Context, e *decide.Entry) error {
	edit, err := e.Edited()
	switch {
	case err != nil:
		return malformed(err)
	case edit == nil:
		return nil
	}
	for _, user := range edit.MentionsRemoved {
		key := fmt.Sprintf("edit:%d", e.Position)
		if err := d.notify.Clear(ctx, user, edit.MessageID, proto.NotifyMention, key); err != nil {
			return fmt.Errorf("clear a mention: %w", err)
		}
	}
	if len(edit.MentionsAdded) == 0 {
		return nil
	}
	now, err := d.find(ctx, edit.EditedBy, edit.ChatID, edit.MessageID)
	if err != nil || now == nil {
		return err
	}
	return d.notifyAll(ctx, decide.OfEdit(edit, now, d.host.Now()))
}

// find is a message as one user may see it by now; nil where that user may not.
func (d *Decider) find(ctx context.Context, user, chat, message string) (*proto.FindMessageRes, error) {
	found, err := services.Do(ctx, d.host, proto.FindMessage, proto.Actor{}, proto.FindMessageReq{UserID: user, ChatID: chat, MessageID: message})
	switch {
	case hasCode(err, proto.ChatNotFound, proto.MessageNotFound):
		return nil, nil //nolint:nilnil // it is no error not to see a message
	case err != nil:
		return nil, fmt.Errorf("look for the message: %w", err)
	}
	return &found, nil
}
