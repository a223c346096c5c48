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
	sentReadEvery = 5 * time.Second
	// sentReadPace is the time between the moves of one chat: where hundreds of members
	// write, what they have read by writing costs less than their messages.
	sentReadPace = 100 * time.Millisecond
	sentReadTick = 100 * time.Millisecond
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

// sentReads are the moves to be told: of each user in each chat the newest.
type sentReads struct {
	wake chan struct{} // a chat is ready

	mu    sync.Mutex
	chats map[proto.Token]*chatSentReads
	pairs int           // (chat, user) in chats
	ready []proto.Token // chats of which a move is to be told
}

// chatSentReads are the moves of one chat. Its moves are told one after another.
type chatSentReads struct {
	users map[proto.Token]*userSentReads
	due   []proto.Token // users whose newest move may be told, in order
	busy  bool          // the chat is in ready, or a move is being told
	free  time.Time     // when the next may be told
}

// userSentReads is one user in one chat, until nothing has come for sentReadEvery.
type userSentReads struct {
	newest *sentRead // nil: nothing to be told
	due    bool      // the user is in due, or the move is being told
	free   time.Time // when the next may be told
}

func newSentReads() *sentReads {
	return &sentReads{wake: make(chan struct{}, 1), chats: map[proto.Token]*chatSentReads{}}
}

// add takes a move; false if there are too many.
func (k *sentReads) add(r *sentRead, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.chats[r.chat.token]
	var u *userSentReads
	if c != nil {
		u = c.users[r.user]
	}
	if u == nil {
		if k.pairs >= maxSentReads {
			return false
		}
		if c == nil {
			c = &chatSentReads{users: map[proto.Token]*userSentReads{}}
			k.chats[r.chat.token] = c
		}
		u = &userSentReads{due: true}
		c.users[r.user] = u
		c.due = append(c.due, r.user)
		k.pairs++
		k.readyLocked(r.chat.token, c, now)
	}
	if u.newest == nil || u.newest.message.seq < r.message.seq {
		u.newest = r
	}
	return true
}

// readyLocked makes a chat ready of which a move may be told now.
func (k *sentReads) readyLocked(chat proto.Token, c *chatSentReads, now time.Time) {
	if c.busy || len(c.due) == 0 || c.free.After(now) {
		return
	}
	c.busy = true
	k.ready = append(k.ready, chat)
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
	c := k.chats[k.ready[0]]
	k.ready = k.ready[1:]
	if len(k.ready) > 0 {
		k.signal()
	}
	u := c.users[c.due[0]]
	c.due = c.due[1:]
	r := u.newest
	u.newest = nil
	return r
}

// done ends what take began; the next of that chat, and of that user, may be told a while later.
func (k *sentReads) done(r *sentRead, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.chats[r.chat.token]
	c.busy, c.free = false, now.Add(sentReadPace)
	u := c.users[r.user]
	u.due, u.free = false, now.Add(sentReadEvery)
}

// ripen makes ready what has waited, or all of it, and forgets who has nothing to tell.
func (k *sentReads) ripen(now time.Time, all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for chat, c := range k.chats {
		for user, u := range c.users {
			switch {
			case u.due || u.free.After(now) && !all:
			case u.newest == nil:
				delete(c.users, user)
				k.pairs--
			default:
				u.due = true
				c.due = append(c.due, user)
			}
		}
		if all {
			c.free = now
		}
		k.readyLocked(chat, c, now)
		if len(c.users) == 0 {
			delete(k.chats, chat)
		}
	}
}

// idle reports whether nothing is to be told.
func (k *sentReads) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.chats {
		for _, u := range c.users {
			if u.due || u.newest != nil {
				return false
			}
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
		if !s.sentReads.add(r, s.host.Now()) {
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
