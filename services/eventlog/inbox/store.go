package inbox

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pendingBytes bounds replies read from the connection and not yet handed out;
// dropping one costs its caller a time-out.
const pendingBytes = 256 << 20

// Inbox hands each reply to the caller that waits for it.
type Inbox struct {
	prefix string
	sub    *nats.Subscription

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*Waiter
}

// Waiter receives the replies of one request on C. The one who waits may use
// Timer, which is stopped.
type Waiter struct {
	C      chan *nats.Msg
	Timer  *time.Timer
	id     uint64
	prefix string
}

// New subscribes to a fresh inbox of nc. Close ends it.
func New(nc *nats.Conn) (*Inbox, error) {
	x := &Inbox{prefix: nc.NewInbox() + ".", waiting: map[uint64]*Waiter{}}
	sub, err := nc.Subscribe(x.prefix+">", x.receive)
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, pendingBytes); err != nil {
		return nil, err
	}
	x.sub = sub
	return x, nil
}

// Close ends the subscription; replies under way are dropped.
func (x *Inbox) Close() { _ = x.sub.Unsubscribe() }

// singles are waiters for one reply, the most common: they are used again.
var singles = sync.Pool{New: func() any { return newWaiter(1) }}

func newWaiter(n int) *Waiter {
	w := &Waiter{C: make(chan *nats.Msg, n), Timer: time.NewTimer(time.Hour)}
	w.Timer.Stop()
	return w
}

// Wait registers a caller that expects at most n replies. Done must follow.
func (x *Inbox) Wait(n int) *Waiter {
	var w *Waiter
	if n == 1 {
		w = singles.Get().(*Waiter)
	} else {
		w = newWaiter(n)
	}
	w.prefix = x.prefix
	x.mu.Lock()
	x.next++
	w.id = x.next
	x.waiting[w.id] = w
	x.mu.Unlock()
	return w
}

// Done forgets the caller; later replies to it are dropped. The waiter must not
// be used after it.
func (x *Inbox) Done(w *Waiter) {
	x.mu.Lock()
	delete(x.waiting, w.id)
	x.mu.Unlock()
	if cap(w.C) == 1 {
		select {
		case <-w.C: // came too late
		default:
		}
		singles.Put(w)
	}
}

// Reply is the reply subject of the whole request.
func (w *Waiter) Reply() string {
	var b [96]byte
	return string(strconv.AppendUint(append(b[:0], w.prefix...), w.id, 36))
}

// ReplyPart is the reply subject of part i of a request made of several.
func (w *Waiter) ReplyPart(i int) string { return w.Reply() + "." + strconv.Itoa(i) }

// Part says which part a reply belongs to.
func (w *Waiter) Part(m *nats.Msg) (int, bool) {
	i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	return i, err == nil && i >= 0
}

func (x *Inbox) receive(m *nats.Msg) {
	token, _, _ := strings.Cut(m.Subject[len(x.prefix):], ".")
	id, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return
	}
	// Under the lock: nothing may reach a waiter after its Done, since another
	// may have it then.
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.waiting[id]
	if w == nil {
		return
	}
	select {
	case w.C <- m:
	default: // more replies than were asked for
	}
}
