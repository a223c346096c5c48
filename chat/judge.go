package chat

import (
	"bytes"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// Who may do what to a message, and until when. Pure rules: what is decided
// here is stored only if the message is still what it was judged by.

// editing is a request to edit, judged against a target.
type editing struct {
	user   string
	req    *proto.EditReq
	window time.Duration // 0: never
	now    proto.Timestamp
}

// judge gives the event that is to be stored; nil where the message says that
// already, with the time since when in at.
func (e *editing) judge(t *target) (event *proto.MessageEdited, at proto.Timestamp, err error) {
	m := &t.sent.Message
	switch {
	case goneAt(m, t.newest, e.now.Time) != nil:
		return nil, at, errNoMessage("messageId")
	case m.SenderID != e.user:
		return nil, at, proto.Errorf(proto.PermissionDenied, "only its sender may edit a message")
	}
	next := proto.MessageEdited{
		ChatID: m.ChatID, MessageID: m.ID, Seq: m.Seq, EncryptedContent: e.req.EncryptedContent,
		Metadata: m.Metadata, Mentions: m.Mentions, EditedAt: e.now, EditedBy: e.user, Version: 2,
	}
	content, since := m.EncryptedContent, m.CreatedAt
	if t.newest != nil {
		have := t.newest.edited
		next.Metadata, next.Mentions, next.Version = have.Metadata, have.Mentions, have.Version+1
		content, since = have.EncryptedContent, have.EditedAt
	}
	before := next.Mentions
	same := content == next.EncryptedContent
	if v := e.req.Metadata; len(v) > 0 && string(v) != "null" {
		same = same && bytes.Equal(v, next.Metadata)
		next.Metadata = v
	}
	if v := e.req.Mentions; v != nil {
		same = same && slices.Equal(v, next.Mentions)
		next.Mentions = v
	}
	if len(next.Mentions) == 0 {
		next.Mentions = nil
	}
	next.MentionsAdded, next.MentionsRemoved = without(next.Mentions, before), without(before, next.Mentions)
	switch {
	case same:
		return nil, since, nil
	case !within(e.window, m, e.now):
		return nil, at, proto.Errorf(proto.PermissionDenied, "the message is too old to be edited")
	}
	return &next, e.now, nil
}

// without is users but others, each once; nil where none is left.
func without(users, others []string) (out []string) {
	for _, u := range users {
		if !slices.Contains(others, u) && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// deleting is a request to delete for everyone, judged against a target.
type deleting struct {
	user   string
	role   proto.Role
	window time.Duration // of the sender; 0: never
	now    proto.Timestamp
}

// judge gives the event that is to be stored; nil where the message is gone
// already, with the time since when in at.
func (d *deleting) judge(t *target) (event *proto.MessageDeleted, at proto.Timestamp, err error) {
	m := &t.sent.Message
	own := m.SenderID == d.user
	moderator := d.role == proto.RoleAdmin || d.role == proto.RoleOwner
	if !own && !moderator {
		return nil, at, proto.Errorf(proto.PermissionDenied, "only its sender, admins and owners may delete a message for everyone")
	}
	if gone := goneAt(m, t.newest, d.now.Time); gone != nil {
		return nil, *gone, nil
	}
	if !moderator && !within(d.window, m, d.now) {
		return nil, at, proto.Errorf(proto.PermissionDenied, "the message is too old to be deleted for everyone")
	}
	reason := proto.ReasonModerated
	if own {
		reason = proto.ReasonDeleted
	}
	return t.deletion(d.now, d.user, reason), d.now, nil
}

// within says whether a message is younger than a window; in one of 0 nothing is.
func within(window time.Duration, m *proto.Message, now proto.Timestamp) bool {
	return window > 0 && now.Sub(m.CreatedAt.Time) < window
}

// deletion is the event that the target is gone for everyone.
func (t *target) deletion(at proto.Timestamp, by, reason string) *proto.MessageDeleted {
	m := &t.sent.Message
	return &proto.MessageDeleted{
		ChatID: m.ChatID, MessageID: m.ID, Seq: m.Seq, DeletedAt: at, DeletedBy: by, Reason: reason, ForEveryone: true,
	}
}

// overdue is what becomes of a target whose time is over: the event to store,
// nil where it is gone already, or how long it still has.
func (t *target) overdue(now time.Time) (event *proto.MessageDeleted, left time.Duration) {
	m := &t.sent.Message
	switch {
	case m.ExpiresAt == nil || t.newest != nil && t.newest.deleted != nil:
		return nil, 0
	case now.Before(m.ExpiresAt.Time):
		return nil, m.ExpiresAt.Sub(now)
	}
	return t.deletion(*m.ExpiresAt, "", proto.ReasonExpired), 0
}

func errNoMessage(field string) error {
	return &proto.Error{Code: proto.MessageNotFound, Field: field, Message: field + " is not a message of this chat"}
}
