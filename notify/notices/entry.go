package notices

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

const (
	// keysKept is for how many notifications of a user it is known by which key
	// they were asked for: an older key makes a new one.
	keysKept = 10_000
	// DefaultTTL is how long a notification is kept that does not say.
	DefaultTTL = 30 * 24 * time.Hour
)

// idPrefix opens every notification id (CONTRACT §3).
const idPrefix = "ntf_"

// keyMark is the random part of the id that a key gives a user's notification: so
// an id says by itself which key it has.
func keyMark(user proto.Token, key string) (mark [10]byte) {
	sum := sha256.Sum256([]byte(string(user) + " " + key)) // a token has no space
	copy(mark[:], sum[:])
	return mark
}

func notificationID(milliseconds uint64, mark [10]byte) string {
	var id ulid.ULID
	_ = id.SetTime(milliseconds) // fails after the year 10889
	copy(id[6:], mark[:])
	return idPrefix + id.String()
}

// markText is the mark as it ends an id.
func markText(mark [10]byte) string { return markOf(notificationID(0, mark)) }

func markOf(id string) string { return id[len(idPrefix)+10:] }

// timeOf is the milliseconds in an id; ok is false for what notificationID cannot have made.
func timeOf(id string) (ms uint64, ok bool) {
	rest, found := strings.CutPrefix(id, idPrefix)
	u, err := ulid.ParseStrict(rest)
	return u.Time(), found && err == nil
}

// entryArgs is an entry of the log for applyScript, without the marks. now is for
// those that have no time of their own: all but a new notification.
func entryArgs(e *journal.Entry, now int64) ([]any, error) {
	switch e.Event {
	case proto.NotificationEvent.Name:
		return newArgs(e)
	case proto.NotificationsReadEvent.Name:
		var r proto.NotificationsRead
		err := wire.Restore(e.Body, &r)
		return idArgs(e, now, read, r.NotificationIDs, err)
	case proto.NotificationsClearedEvent.Name:
		var r proto.NotificationsCleared
		err := wire.Restore(e.Body, &r)
		return idArgs(e, now, clearing, r.NotificationIDs, err)
	}
	return []any{now, read}, nil // of a version that knows more
}

// newArgs is a new notification.
func newArgs(e *journal.Entry) ([]any, error) {
	var n proto.Notification
	if err := wire.Restore(e.Body, &n); err != nil {
		return nil, fmt.Errorf("notification at position %d: %w", e.Position, err)
	}
	ms, ok := timeOf(n.ID)
	if !ok {
		return nil, fmt.Errorf("notification at position %d: id %q", e.Position, n.ID)
	}
	expires := e.Expires
	if expires == 0 {
		expires = n.Timestamp.Add(DefaultTTL).UnixMilli()
	}
	return []any{
		n.Timestamp.UnixMilli(), "new", n.ID, e.Position, expires, markOf(n.ID), ms, proto.MaxNotifications, keysKept,
		e.Body, aboutOf(n.Type, n.MessageID) + decide.NoticeCollapse(&n),
	}, nil
}

// aboutOf opens what Redis has of a notification beside its body: type, message and, behind
// it, collapse key.
func aboutOf(t proto.NotificationType, messageID string) string {
	message, err := proto.EncodeID(messageID)
	if err != nil {
		message = noMessage
	}
	return string(t) + " " + string(message) + " "
}

// noMessage stands for the message of a notification about none: no token has a dot.
const noMessage = "."

// idArgs is what became of some notifications.
func idArgs(e *journal.Entry, now int64, what string, ids []string, err error) ([]any, error) {
	if err != nil {
		return nil, fmt.Errorf("%s at position %d: %w", e.Event, e.Position, err)
	}
	args := []any{now, what}
	for _, id := range ids {
		args = append(args, id)
	}
	return args, nil
}
