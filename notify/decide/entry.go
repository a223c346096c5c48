package decide

import (
	"fmt"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Entry is one entry of the log.
type Entry struct {
	Kind     proto.Kind
	Owner    string // the chat's or the user's id
	Event    string
	Position uint64
	Stored   time.Time
	Body     []byte
}

// EntryOf reads what a subject says of an entry.
func EntryOf(subject, event string, position uint64, stored time.Time, body []byte) (Entry, error) {
	owner, kind, err := proto.ParseChatSubject(subject)
	if err != nil {
		owner, kind, err = proto.ParseUserSubject(subject)
	}
	if err != nil {
		return Entry{}, err
	}
	id, err := owner.ID()
	if err != nil {
		return Entry{}, fmt.Errorf("subject %s: %w", subject, err)
	}
	return Entry{Kind: kind, Owner: id, Event: event, Position: position, Stored: stored, Body: body}, nil
}

// is says whether the entry is an event of a kind.
func (e *Entry) is(kind proto.Kind, event string) bool { return e.Kind == kind && e.Event == event }

func read[T any](e *Entry) (*T, error) {
	v := new(T)
	if err := wire.Restore(e.Body, v); err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", e.Event, e.Position, err)
	}
	return v, nil
}

// Message is the message that an entry is; nil where it is none.
func (e *Entry) Message() (*proto.NewMessage, error) {
	if !e.is(proto.KindMessage, proto.MessageNew.Name) {
		return nil, nil //nolint:nilnil // most entries are none
	}
	return read[proto.NewMessage](e)
}

// Edited is the edit of a message that an entry is; nil where it is none.
func (e *Entry) Edited() (*proto.MessageEdited, error) {
	if !e.is(proto.KindEdit, proto.MessageEditedEvent.Name) {
		return nil, nil //nolint:nilnil // most entries are none
	}
	return read[proto.MessageEdited](e)
}

// Notice is the notification that an entry is; nil where it is none.
func (e *Entry) Notice() (*proto.Notification, error) {
	if !e.is(proto.KindNotice, proto.NotificationEvent.Name) {
		return nil, nil //nolint:nilnil // most entries are none
	}
	return read[proto.Notification](e)
}
