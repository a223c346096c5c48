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

// Record is an entry that no client sees: what became of notifications.
type Record struct {
	Read      []string `json:"read,omitzero"`
	ReadUpTo  uint64   `json:"readUpTo,omitzero"` // every one up to this position
	Clear     []string `json:"clear,omitzero"`
	ClearUpTo uint64   `json:"clearUpTo,omitzero"`
}

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

// entryArgs is an entry of the log for applyScript, without the marks. now is for a
// record, which has no time of its own.
func entryArgs(e *journal.Entry, now int64) ([]any, error) {
	if e.Event == "" {
		return recordArgs(e, now)
	}
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
		e.Body, string(n.Type) + " " + decide.NoticeCollapse(&n),
	}, nil
}

func recordArgs(e *journal.Entry, now int64) ([]any, error) {
	var r Record
	if err := wire.Restore(e.Body, &r); err != nil {
		return nil, fmt.Errorf("record at position %d: %w", e.Position, err)
	}
	args, ids := []any{now, read, r.ReadUpTo}, r.Read
	if len(r.Clear) > 0 || r.ClearUpTo > 0 {
		args, ids = []any{now, clearing, r.ClearUpTo}, r.Clear
	}
	for _, id := range ids {
		args = append(args, id)
	}
	return args, nil
}
