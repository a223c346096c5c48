package fair

import (
	"net/netip"
	"sync"
	"time"
)

// Verdict is the answer to a request for a token.
type Verdict uint8

const (
	// Granted means that a token was taken.
	Granted Verdict = iota
	// Empty means that no token is left for any key.
	Empty
	// OverShare means that the key holds as many tokens as are left for all others.
	OverShare
)

// Bucket is a token bucket shared by address. Its methods are safe for concurrent use.
type Bucket struct {
	rate int64 // tokens per second; the burst is one second's worth

	mu    sync.Mutex
	taken int64 // tokens taken and not yet refilled, of all keys
	keys  map[netip.Addr]*share
	next  *share    // the share that gets the next refilled token; nil: none has taken any
	at    time.Time // up to when tokens have been refilled
}

// share is one key's place in the ring. It exists while the key has taken tokens.
type share struct {
	key            netip.Addr
	taken          int64
	before, behind *share
}

// New returns a full bucket of perSecond tokens, refilled at perSecond tokens a second.
// perSecond must be 1 to 1<<20.
func New(perSecond int) *Bucket {
	return &Bucket{rate: int64(perSecond), keys: make(map[netip.Addr]*share)}
}

// Take takes one token for key at the time now. A key is refused if no token is left, or if the key
// holds as many tokens as are left: then what is left is for other keys. The zero Addr is a key too.
func (b *Bucket) Take(key netip.Addr, now time.Time) Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	left := b.rate - b.taken
	if left <= 0 {
		return Empty
	}
	s := b.keys[key]
	if s == nil {
		s = b.enter(key)
	}
	if s.taken >= left {
		return OverShare
	}
	s.taken++
	b.taken++
	return Granted
}

// maxRefill bounds the time that one refill counts, so that the product below cannot overflow.
const maxRefill = time.Hour

// refill gives back the tokens of the time since the last call, one to each share in turn. Each token
// is given back once, so the cost of a Take is constant over time.
func (b *Bucket) refill(now time.Time) {
	if b.taken == 0 {
		b.at = now
		return
	}
	since := now.Sub(b.at)
	if since <= 0 {
		return
	}
	n := int64(min(since, maxRefill)) * b.rate / int64(time.Second)
	if n >= b.taken {
		clear(b.keys)
		b.next, b.taken, b.at = nil, 0, now
		return
	}
	b.at = b.at.Add(time.Duration(n * int64(time.Second) / b.rate))
	b.taken -= n
	for range n {
		s := b.next
		b.next = s.behind
		if s.taken--; s.taken == 0 {
			b.leave(s)
		}
	}
}

// enter puts a new share at the end of the round.
func (b *Bucket) enter(key netip.Addr) *share {
	s := &share{key: key}
	b.keys[key] = s
	if b.next == nil {
		s.before, s.behind = s, s
		b.next = s
		return s
	}
	s.before, s.behind = b.next.before, b.next
	s.before.behind, s.behind.before = s, s
	return s
}

// leave removes a share that has no token any more. It is not the only one.
func (b *Bucket) leave(s *share) {
	s.before.behind, s.behind.before = s.behind, s.before
	delete(b.keys, s.key)
}
