package eventlog

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

// Append is one entry to be stored after position After of its subject (0: as the first).
type Append struct {
	Subject                string
	After                  uint64
	Key                    string
	Event, Socket, Content string
	Seq                    uint64
	Trace                  string // traceparent
	Body                   []byte
}

// Ack is the stream's word that an entry is stored.
type Ack struct {
	Position  uint64
	Duplicate bool // stored before under the same key; Position is the first one's
}

// Append stores one entry, once. It returns WrongLastError, ErrUncertain,
// ErrUnavailable or ErrFull; only after ErrUncertain may the entry be stored.
// It waits until ctx's deadline, and no longer than attemptTimeout; where ctx has
// no deadline, until it is cancelled.
func (l *Log) Append(ctx context.Context, a *Append) (Ack, error) {
	w := l.acks.Wait(1)
	defer l.acks.Done(w)
	msg := messages.Get().(*message)
	msg.fill(a, w.Reply())
	err := l.write.PublishMsg(&msg.Msg) // copies it
	msg.Data = nil
	messages.Put(msg)
	if err != nil {
		return Ack{}, fmt.Errorf("append %s: %w: %w", a.Subject, ErrUnavailable, err)
	}
	wait := attemptTimeout
	var canceled <-chan struct{}
	if end, ok := ctx.Deadline(); ok {
		// A request's context makes its Done channel, at a price, when first asked for it.
		wait = min(wait, time.Until(end))
	} else {
		canceled = ctx.Done()
	}
	w.Timer.Reset(wait)
	defer w.Timer.Stop()
	select {
	case m := <-w.C:
		return parseAck(m)
	case <-canceled:
	case <-w.Timer.C:
	}
	if err := ctx.Err(); err != nil {
		return Ack{}, fmt.Errorf("append %s: %w: %w", a.Subject, ErrUncertain, err)
	}
	return Ack{}, fmt.Errorf("append %s: %w", a.Subject, ErrUncertain)
}

// The headers of an entry.
var headerNames = [...]string{
	nats.ExpectedLastSubjSeqHdr, nats.MsgIdHdr, proto.HeaderEvent, proto.HeaderSeq, proto.HeaderSocket, proto.HeaderContent, proto.HeaderTrace,
}

// message is an entry on its way, used again: its header is a map that stays,
// onto values that are filled in.
type message struct {
	nats.Msg
	values [len(headerNames)]string
}

var messages = sync.Pool{New: func() any {
	return &message{Msg: nats.Msg{Header: make(nats.Header, len(headerNames))}}
}}

func (m *message) fill(a *Append, reply string) {
	m.Subject, m.Reply, m.Data = a.Subject, reply, a.Body
	seq := ""
	if a.Seq != 0 {
		seq = strconv.FormatUint(a.Seq, 10)
	}
	m.values = [...]string{strconv.FormatUint(a.After, 10), a.Key, a.Event, seq, a.Socket, a.Content, a.Trace}
	for i, name := range headerNames {
		// A name without values is not written.
		n := i
		if m.values[i] != "" {
			n++
		}
		if have := m.Header[name]; have == nil || len(have) != n-i {
			m.Header[name] = m.values[i : n : i+1]
		}
	}
}
