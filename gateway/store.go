package gateway

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
)

// liveBuffer is how many live copies may wait for the fan-out. It is large,
// because a copy that finds it full is dropped, and then everything hosted has
// to be checked against the log.
const liveBuffer = 1 << 16

// entry is one entry of the log, as a live copy or as a read brought it.
type entry struct {
	subject  string
	event    string // client event name
	position uint64
	previous uint64 // live copies only: position of the entry of the same subject before it
	seq      uint64 // of messages
	socket   string // must not get an echo
	to       string // the one socket that gets it; of what is not stored
	call     *callWord
	body     []byte
}

// store is the gateway's side of NATS: live copies in, reads of the log.
//
// All subscriptions share one channel, and so one order: what the server sends
// on a connection keeps the order of the log, also across subjects, and a
// removal can never be overtaken by what came after it.
type store struct {
	host *services.Host
	live chan *nats.Msg
	log  *eventlog.Reader // on a connection of its own
}

func newStore(host *services.Host) *store {
	return &store{host: host, live: make(chan *nats.Msg, liveBuffer), log: host.CatchUp()}
}

// subscription ends with end; the zero one has ended.
type subscription struct{ sub *nats.Subscription }

// subscribe sends the live copies of a subject to run. It takes effect before
// any request made after it on the host's connection.
func (s *store) subscribe(subject string) (subscription, error) {
	sub, err := s.host.NATS().ChanSubscribe(subject, s.live)
	if err != nil {
		return subscription{}, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	return subscription{sub}, nil
}

func (s subscription) end() {
	if s.sub != nil {
		_ = s.sub.Unsubscribe() // only fails on a closed connection, where nothing is subscribed
	}
}

// maxDrain is how many copies are taken before anything else gets a turn.
const maxDrain = 512

// run hands every live copy to handle, and what is never stored to pass, one
// after the other, until ctx ends.
func (s *store) run(ctx context.Context, handle func(*entry), pass func(*ephemeral)) error {
	var e entry
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-s.live:
			for n := 1; ; n++ {
				if liveEntry(m, &e) {
					handle(&e)
				} else {
					pass(&ephemeral{
						subject: m.Subject, event: m.Header.Get(proto.HeaderEvent), user: proto.Token(m.Header.Get(proto.HeaderUser)), body: m.Data,
					})
				}
				if n == maxDrain || len(s.live) == 0 {
					break
				}
				m = <-s.live
			}
		}
	}
}

// backlog is how many copies wait for the fan-out.
func (s *store) backlog() int { return len(s.live) }

// liveEntry reads a live copy, or an event that is not stored and so has no
// position; false for what is neither.
func liveEntry(m *nats.Msg, e *entry) bool {
	position, ok := number(m.Header, proto.HeaderStreamSeq)
	if !ok && !isEphemeral(m.Subject) {
		return false
	}
	previous, _ := number(m.Header, proto.HeaderStreamLast)
	seq, _ := number(m.Header, proto.HeaderSeq)
	*e = entry{
		subject: m.Subject, event: m.Header.Get(proto.HeaderEvent), position: position, previous: previous,
		seq: seq, socket: m.Header.Get(proto.HeaderSocket), to: m.Header.Get(proto.HeaderTo), body: m.Data,
	}
	return true
}

func number(h nats.Header, name string) (uint64, bool) {
	n, err := strconv.ParseUint(h.Get(name), 10, 64)
	return n, err == nil
}

const (
	readBatch   = 256
	readBytes   = 4 << 20
	readTimeout = 5 * time.Second
)

// read hands the entries of a log subject behind a position to handle, in order, up to a
// bound. last is the position of the last of them, where the next read goes on. more
// is false when the leader of the log, being at or beyond the position known, has confirmed that there
// are no others. What is stored after that comes as a live copy.
func (s *store) read(ctx context.Context, subject string, after, known uint64, handle func(*entry)) (last uint64, more bool, err error) {
	last = after
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// What was subscribed before this read must be live before it: then what the read does not see comes as a copy.
	if err := s.host.NATS().FlushWithContext(ctx); err != nil {
		return last, true, fmt.Errorf("read %s: %w", subject, err)
	}
	page, more, err := s.log.Page(ctx, eventlog.Query{
		Stream: proto.Events.Name, Subject: subject, From: after + 1, Known: known, Limit: readBatch, MaxBytes: readBytes,
	})
	if err != nil {
		return last, true, err
	}
	for i := range page {
		e := &page[i]
		handle(&entry{subject: e.Subject, event: e.Event, position: e.Position, seq: e.Seq, socket: e.Socket, body: e.Body})
		last = e.Position
	}
	return last, more, nil
}

// recheckOn has everything compared with the log when copies were dropped.
func (svc *Service) recheckOn(*nats.Subscription) { svc.recheckSoon() }
