package chat

import (
	"bytes"
	"fmt"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// What a message is at present: as it was sent, with its newest edit, or a
// tombstone. Everything here is a function of log entries and a clock.

// revision is one entry of a chat's edit log; one of the two is set.
type revision struct {
	edited  *proto.MessageEdited
	deleted *proto.MessageDeleted
}

// revisionOf reads an entry of an edit log.
func revisionOf(e eventlog.Entry) (*revision, error) {
	var r revision
	var err error
	switch e.Event {
	case proto.MessageEditedEvent.Name:
		r.edited = new(proto.MessageEdited)
		err = wire.Restore(e.Body, r.edited)
	case proto.MessageDeletedEvent.Name:
		r.deleted = new(proto.MessageDeleted)
		err = wire.Restore(e.Body, r.deleted)
	default:
		err = fmt.Errorf("unknown event %q", e.Event)
	}
	if err != nil {
		return nil, fmt.Errorf("read edit %d of %s: %w", e.Position, e.Subject, err)
	}
	return &r, nil
}

// goneAt is when a message was deleted or expired; nil while it is there.
func goneAt(m *proto.Message, newest *revision, now time.Time) *proto.Timestamp {
	switch {
	case newest != nil && newest.deleted != nil:
		return &newest.deleted.DeletedAt
	case m.ExpiresAt != nil && !now.Before(m.ExpiresAt.Time):
		return m.ExpiresAt
	}
	return nil
}

// present makes of a message as it was sent what it is now. Of one that is gone
// nothing is left but who sent it, when, and where it stands.
func present(m *proto.Message, newest *revision, now time.Time) {
	if gone := goneAt(m, newest, now); gone != nil {
		m.EncryptedContent, m.Metadata, m.Mentions, m.ForwardedFrom = "", nil, nil, nil
		m.DeletedAt = gone
		return
	}
	if newest != nil {
		e := newest.edited
		m.EncryptedContent, m.Metadata, m.Mentions, m.EditedAt = e.EncryptedContent, e.Metadata, e.Mentions, &e.EditedAt
	}
}

// presentBody is present for a stored body, which is untouched where nothing
// has happened to it.
func presentBody(body []byte, edit *eventlog.Entry, now time.Time) ([]byte, error) {
	if edit == nil && !mayExpire(body) {
		return body, nil
	}
	var m proto.NewMessage
	if err := wire.Restore(body, &m); err != nil {
		return nil, err
	}
	var newest *revision
	if edit != nil {
		var err error
		if newest, err = revisionOf(*edit); err != nil {
			return nil, err
		}
	} else if goneAt(&m.Message, nil, now) == nil {
		return body, nil
	}
	present(&m.Message, newest, now)
	return appendNewMessage(make([]byte, 0, len(body)), &m.Message, &m.Sender), nil
}

// mayExpire is false for a stored body without expiresAt. Inside a string the
// quotes are escaped; in metadata it may stand, and costs a look.
func mayExpire(body []byte) bool { return bytes.Contains(body, []byte(`,"expiresAt":"`)) }

// withoutContent is a stored body that was too large for any answer, without what made it
// so: whoever reads the chat sees that a message is there, and all that follow.
func withoutContent(body []byte) ([]byte, error) {
	var m proto.NewMessage
	if err := wire.Restore(body, &m); err != nil {
		return nil, err
	}
	m.Message.EncryptedContent, m.Message.Metadata, m.Message.Mentions = "", nil, nil
	return appendNewMessage(nil, &m.Message, &m.Sender), nil
}
