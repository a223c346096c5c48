package follow

import (
	"context"
	"fmt"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// reader is the user whose receipts a subject has.
func reader(subject string) string {
	_, user, err := proto.ParseReceiptSubject(subject)
	if err != nil {
		return subject
	}
	return string(user)
}

// read takes back the push of a message that its user has read, on whatever device.
// Which one that was a receipt does not say: it has its push taken back as well.
func (d *Decider) read(ctx context.Context, f *services.Followed) error {
	var r proto.ReceiptEntry
	if err := wire.Restore(f.Body, &r); err != nil {
		return malformed(fmt.Errorf("receipt at %d: %w", f.Position, err))
	}
	if r.Read == 0 {
		return nil
	}
	chat, user, err := idsOf(f.Subject)
	if err != nil {
		return malformed(err)
	}
	key := decide.ChatCollapse(chat)
	position, withdrawn, err := d.notify.Shown(ctx, user, key)
	switch {
	case err != nil:
		return fmt.Errorf("look for a push: %w", err)
	case position == 0 || withdrawn:
		return nil
	}
	// A notification of the chat has its own way of being read.
	sent, err := d.notify.MessageAt(ctx, position)
	switch {
	case err != nil:
		return fmt.Errorf("look for what was pushed: %w", err)
	case sent == nil || sent.Message.ChatID != chat || sent.Message.Seq > r.Read:
		return nil
	}
	prefs, err := d.prefs(ctx, user)
	if err != nil {
		return err
	}
	e := decide.Entry{Position: position, Stored: f.Stored}
	return d.enqueue(ctx, decide.Withdraw(proto.NotifyMessage, key, sent.Message.ID, &e, decide.User{ID: user, Prefs: prefs[0]}, d.host.Now()))
}

func idsOf(subject string) (chat, user string, err error) {
	c, u, err := proto.ParseReceiptSubject(subject)
	if err != nil {
		return "", "", err
	}
	if chat, err = c.ID(); err != nil {
		return "", "", err
	}
	user, err = u.ID()
	return chat, user, err
}
