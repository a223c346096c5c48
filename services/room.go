package services

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// MinPayload is the smallest max_payload of a NATS server, in bytes, that the mesh runs
// on. The largest entry of the log (proto.MaxEncoded and what stands around it)
// fits one answer of that size with room to spare.
const MinPayload = 256 << 10

// answerFrame is how much of an answer is not the handler's: the ack's frame with its
// request id, and the headers of a replay, in bytes.
const answerFrame = 1 << 10

// requestFrame is what of a request is neither its body nor its actor: the other headers,
// an idempotency key among them, in bytes.
const requestFrame = 1 << 10

// Room counts the bytes that one answer may still have. It is the one place that knows
// how large an answer may be: what the NATS server announced, less the frame. Each handler
// whose answer has a list adds up its items there, and ends the page at the first that
// does not fit. A Room is used by one goroutine.
type Room struct{ whole, left int }

// AnswerRoom is the room of an answer of this host, as the server announced it last.
func (h *Host) AnswerRoom() *Room { return RoomOf(h.maxPayload() - answerFrame) }

// RoomOf is a room of n bytes.
func RoomOf(n int) *Room { return &Room{whole: n, left: n} }

// Fits takes n bytes if that many are left, and reports whether it did.
func (r *Room) Fits(n int) bool {
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

// Whole is how many bytes the room had when it was empty: an item that is larger fits no
// answer.
func (r *Room) Whole() int { return r.whole }

// Left is how many bytes are left.
func (r *Room) Left() int { return r.left }

// maxPayload is the largest message, headers included, that the server takes, in bytes.
// Before the first connection it is MinPayload.
func (h *Host) maxPayload() int {
	if h.nc == nil {
		return MinPayload
	}
	return max(int(h.nc.MaxPayload()), MinPayload)
}

// checkPayload ends the host if the server it has connected to takes smaller messages
// than the mesh needs.
func (h *Host) checkPayload(nc *nats.Conn) {
	if got := nc.MaxPayload(); got < MinPayload {
		h.fail(fmt.Errorf("max_payload of the NATS server %s is %d bytes: set it to %d or more", nc.ConnectedUrlRedacted(), got, MinPayload))
	}
}

// RequestRoom is how many bytes the body of a request of an actor, as
// proto.Actor.Header writes it, may have.
func (h *Host) RequestRoom(actor string) int { return h.maxPayload() - requestFrame - len(actor) }

// fitRequest is the body of a request in a form that fits a message. One that is too large
// only because of how it is written, such as `\u0041` for a letter, is written shorter.
// The error names the largest member of one that does not fit.
func (h *Host) fitRequest(q *Question) ([]byte, *proto.Error) {
	if len(q.Body)+len(q.Actor)+requestFrame <= MinPayload {
		return q.Body, nil
	}
	limit := h.RequestRoom(q.Actor)
	if len(q.Body) <= limit {
		return q.Body, nil
	}
	short := wire.Compact(q.Body)
	if len(short) <= limit {
		return short, nil
	}
	field, what := wire.Largest(short), "the request"
	if field != "" {
		what = field
	}
	return nil, &proto.Error{Code: proto.PayloadTooLarge, Field: field, Message: fmt.Sprintf("%s is too large: the request must be at most %d bytes", what, limit)}
}
