package history

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"supmesh.dev/proto"
)

// item is one call in the order of a history: the newest first, and of those
// that began in the same millisecond the larger token.
type item struct {
	began int64 // Unix milliseconds
	call  proto.Token
	body  []byte // a proto.CallRecord
}

func inOrder(a, b item) int {
	return cmp.Or(cmp.Compare(b.began, a.began), cmp.Compare(b.call, a.call))
}

// cursor is the last call of a page. The zero one stands before all calls.
type cursor struct {
	began int64
	call  string // digest of its token, which alone may be longer than a cursor
}

func cursorAt(it item) cursor { return cursor{it.began, digest(it.call)} }

const digestBytes = 12

func digest(call proto.Token) string {
	sum := sha256.Sum256([]byte(call))
	return base64.RawURLEncoding.EncodeToString(sum[:digestBytes])
}

// CursorBehind is the cursor of the page that follows a call.
func CursorBehind(rec *proto.CallRecord) (string, error) {
	token, err := proto.EncodeID(rec.CallID)
	if err != nil {
		return "", fmt.Errorf("cursor behind a call: %w", err)
	}
	return cursor{rec.CreatedAt.UnixMilli(), digest(token)}.text(), nil
}

func (c cursor) text() string { return strconv.FormatInt(c.began, 36) + "." + c.call }

var errCursor = errors.New("must be nextCursor of an earlier page")

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	began, call, _ := strings.Cut(text, ".")
	at, err := strconv.ParseInt(began, 36, 64)
	raw, badCall := base64.RawURLEncoding.Strict().DecodeString(call)
	c := cursor{at, call}
	if err != nil || badCall != nil || len(raw) != digestBytes || at < 0 || at > maxBegan || c.text() != text {
		return cursor{}, proto.FieldError("cursor", errCursor)
	}
	return c, nil
}

// maxBegan is the largest score that Redis keeps exactly.
const maxBegan = 1 << 53

// behind is what of some calls, all those of its millisecond among them, follows
// the cursor. Only the last of a history are ever removed: where its own call is
// gone, all that followed it are.
func (c cursor) behind(calls []item) []item {
	slices.SortFunc(calls, inOrder)
	if c.call == "" {
		return calls
	}
	next := len(calls)
	for i, it := range calls {
		if it.began < c.began {
			return calls[min(next, i):]
		}
		if it.began == c.began && digest(it.call) == c.call {
			next = i + 1
		}
	}
	return calls[next:]
}

// rankOf is how far a call is for its user: a record never gives way to one of
// a lower rank.
func rankOf(status proto.CallStatus) int {
	switch status {
	case proto.CallRinging, proto.CallIncoming, proto.CallUnreachable:
		return 0
	case proto.CallAnswered:
		return 1
	case proto.CallRejected, proto.CallMissed, proto.CallOver:
	}
	return 2
}

// stored is a record as Redis has it: "<rank> <position> <record>".
func stored(rank int, position uint64, body []byte) []byte {
	out := strconv.AppendInt(nil, int64(rank), 10)
	out = strconv.AppendUint(append(out, ' '), position, 10)
	return append(append(out, ' '), body...)
}

func bodyIn(stored string) []byte {
	parts := bytes.SplitN([]byte(stored), []byte{' '}, 3)
	return parts[len(parts)-1]
}
