package chat

import (
	"context"
	"sync"
	"time"

	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// A message moves its sender's read cursor (CONTRACT §4.1). Where that covers messages of
// others, the move is stored and told like that of message:read, after the send's ack:
// the authors and the sender's other sockets hear of it, and notify withdraws the push.

const (
	// sentReadEvery is how often the moves of one user in one chat are told, at most.
	sentReadEvery = time.Second
	sentReadTick  = 100 * time.Millisecond
	// maxSentReads bounds the (chat, user) pairs known at once: about 8 MB.
	maxSentReads = 1 << 14
	// sentReadWorkers is how many moves are stored at once.
	sentReadWorkers = 4
)

// sentRead is a send that may have moved its sender's read cursor over messages of others.
type sentRead struct {
	caller
	chat    *chatState
	message said // the one sent
}

type sentReadKey struct{ chat, user proto.Token }

// sentReads are the moves to be told: of each user in each chat the newest.
type sentReads struct {
	wake chan struct{} // something is ready

	mu    sync.Mutex
	of    map[sentReadKey]*sentReadState
	ready []sentReadKey
}

// sentReadState is one user in one chat, until nothing has come for sentReadEvery.
type sentReadState struct {
	newest *sentRead // nil: nothing to be told
	queued bool      // in ready, or being told
	free   time.Time // when the next may be told
}

func newSentReads() *sentReads {
	return &sentReads{wake: make(chan struct{}, 1), of: map[sentReadKey]*sentReadState{}}
}

// add takes a move; false if there are too many.
func (k *sentReads) add(r *sentRead) bool {
	key := sentReadKey{r.chat.token, r.user}
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.of[key]
	if st == nil {
		if len(k.of) >= maxSentReads {
			return false
		}
		st = &sentReadState{queued: true}
		k.of[key] = st
		k.readyLocked(key)
	}
	if st.newest == nil || st.newest.message.seq < r.message.seq {
		st.newest = r
	}
	return true
}

func (k *sentReads) readyLocked(key sentReadKey) {
	k.ready = append(k.ready, key)
	k.signal()
}

func (k *sentReads) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// take gives the next move that is ready; nil if none is.
func (k *sentReads) take() *sentRead {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ready) == 0 {
		return nil
	}
	st := k.of[k.ready[0]]
	k.ready = k.ready[1:]
	if len(k.ready) > 0 {
		k.signal()
	}
	r := st.newest
	st.newest = nil
	return r
}

// done ends what take began; the next of that user may be told a while later.
func (k *sentReads) done(r *sentRead, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.of[sentReadKey{r.chat.token, r.user}]
	st.queued, st.free = false, now.Add(sentReadEvery)
}

// ripen makes ready what has waited, or all of it, and forgets who has nothing to tell.
func (k *sentReads) ripen(now time.Time, all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, st := range k.of {
		switch {
		case st.queued || st.free.After(now) && !all:
		case st.newest == nil:
			delete(k.of, key)
		default:
			st.queued = true
			k.readyLocked(key)
		}
	}
}

// idle reports whether nothing is to be told.
func (k *sentReads) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, st := range k.of {
		if st.queued || st.newest != nil {
			return false
		}
	}
	return true
}

// tellSentReads tells what is ready until ctx ends.
func (s *Service) tellSentReads(ctx context.Context) error {
	tick := time.NewTicker(sentReadTick)
	defer tick.Stop()
	for {
		select {
		case <-s.sentReads.wake:
			s.tellReady(ctx)
		case <-tick.C:
			s.sentReads.ripen(s.host.Now(), false)
		case <-ctx.Done():
			return nil
		}
	}
}

// drainSentReads tells what is left when the service stops, for tidingsEnd at most.
func (s *Service) drainSentReads(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidingsEnd)
	defer cancel()
	for !s.sentReads.idle() {
		s.sentReads.ripen(s.host.Now(), true)
		s.tellReady(ctx)
		if !pause(ctx, firstPause) {
			return
		}
	}
}

func (s *Service) tellReady(ctx context.Context) {
	for r := s.sentReads.take(); r != nil; r = s.sentReads.take() {
		one, cancel := context.WithTimeout(ctx, proto.RequestTimeout)
		if err := s.tellSentRead(one, r); err != nil {
			count(s.metrics.noticesDropped, 1)
			s.host.Log().WarnContext(ctx, "what a send has read is not told", "error", err)
		}
		cancel()
		s.sentReads.done(r, s.host.Now())
	}
}

// tellSentRead stores one move and tells of it. Who is no member any more tells nobody.
func (s *Service) tellSentRead(ctx context.Context, r *sentRead) error {
	view, err := s.state.ForSend(ctx, r.chat.keys, projection.Ask{User: r.user})
	if err != nil || !view.IsMember {
		return err
	}
	done := &received{caller: r.caller, chat: r.chat, up: r.message, at: proto.At(r.message.time())}
	if err := s.advance(ctx, done, verbSent); err != nil {
		return err
	}
	if !done.moved.read.any() || !s.tellSpan(ctx, done, view.Member, verbRead, done.moved.read) {
		return nil
	}
	at, err := s.unreadIn(ctx, r.caller, r.chat)
	if err != nil {
		return err
	}
	if at.member {
		s.tellReader(done, at.unread)
	}
	return nil
}

// sent notes what becomes of a stored message in Redis. There read is how far its sender
// had read before; ok is false where that is not known.
func (s *Service) sent(r *sentRead) func(read uint64, ok bool, err error) {
	return func(read uint64, ok bool, err error) {
		if err != nil {
			count(s.metrics.unprojected, 1)
		}
		if ok && read+1 >= r.message.seq {
			return // no message of others lies between
		}
		if !s.sentReads.add(r) {
			count(s.metrics.noticesDropped, 1)
		}
	}
}

// stayOf is when the reader of some messages was a member. It asks Redis only where one
// of them is older than the membership.
func (s *Service) stayOf(ctx context.Context, c *chatState, user proto.Token, m projection.Member, covered []said) (roster.Stay, error) {
	for i := range covered {
		if covered[i].position != 0 && covered[i].position <= m.Joined {
			at, err := s.places(ctx, caller{user: user}, []proto.Token{c.token})
			if err != nil || at[0].IsMember {
				return at[0].Stay, err
			}
			break // removed a moment ago
		}
	}
	return roster.Stay{First: m.Joined}, nil
}
