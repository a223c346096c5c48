package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog/inbox"
)

const (
	directGet  = "$JS.API.DIRECT.GET."
	statusEnd  = "204" // end of a batch
	statusNone = "404" // the replica has no such entry
)

// getRequest is what a direct get asks for.
type getRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

// answer waits for the next reply to a direct get and gives its status, "" for an entry.
func answer(ctx context.Context, w *inbox.Waiter) (*nats.Msg, string, error) {
	select {
	case m := <-w.C:
		status := first(m.Header, "Status")
		if status != "" && status != statusEnd && status != statusNone {
			return nil, "", fmt.Errorf("%w: status %s %s", ErrUnavailable, status, first(m.Header, "Description"))
		}
		return m, status, nil
	case <-ctx.Done():
		return nil, "", fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// batch is what one replica answers to a request: at most limit entries. end is the
// header that closes the answer, nil when the replica had nothing, or less than it found.
func (r *Reader) batch(ctx context.Context, stream string, q getRequest, limit int) (page []Entry, end nats.Header, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, nil, err
	}
	w, done, err := r.wait(limit + 1)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	if err := r.publish(directGet+stream, w.Reply(), body); err != nil {
		return nil, nil, err
	}
	for {
		m, status, err := answer(ctx, w)
		if err != nil {
			return nil, nil, err
		}
		switch status {
		case "":
			page = append(page, Parse(m))
			page[len(page)-1].Previous = 0 // of a batch, not of the subject
		case statusEnd:
			return page, m.Header, nil
		default:
			return page, nil, nil
		}
	}
}

// at is what replicas have at positions of EVENTS, all in one round trip. An entry that the
// replica asked does not have stays zero.
func (r *Reader) at(ctx context.Context, positions []uint64) ([]Entry, error) {
	w, done, err := r.wait(len(positions))
	if err != nil {
		return nil, err
	}
	defer done()
	for i, p := range positions {
		if err := r.publish(directGet+proto.Events.Name, w.ReplyPart(i), atPosition(p)); err != nil {
			return nil, err
		}
	}
	out := make([]Entry, len(positions))
	for range positions {
		m, status, err := answer(ctx, w)
		if err != nil {
			return nil, err
		}
		if i, ok := w.Part(m); ok && i < len(out) && status == "" {
			out[i] = Parse(m)
		}
	}
	return out, nil
}

func atPosition(p uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"seq":`), p, 10), '}')
}
