package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

const (
	// tidingEvery is how often one author hears of one kind of receipt in a large chat.
	tidingEvery = time.Second
	// tidingTick is how long the first one may wait, so that those of the same moment go with it.
	tidingTick = 100 * time.Millisecond
	// maxTidings bounds the authors with something to hear: at worst 50 MB.
	maxTidings = 4096
	// tidingsEnd is how long the last flush may take when the service stops.
	tidingsEnd = 2 * time.Second
)

// tidingKey is an author in a chat, and what kind of receipt it is about.
type tidingKey struct {
	chat, author proto.Token
	verb         verb
}

// tiding is one event to an author, of one receipt or of many.
type tiding struct {
	key    tidingKey
	chatID string
	newest said   // the author's newest that is covered
	user   string // who covers it, the last of those who do
	at     proto.Timestamp
	ids    []string // of one receipt that covers several
	users  []string // of many receipts: the newest, each once
	count  int

	due time.Time
}

// tidings coalesces the events of large chats: per author and kind one a
// second, over all instances. It holds nothing that is not elsewhere too: what
// is lost with it is a live notice.
type tidings struct {
	wake chan struct{} // something waits

	mu      sync.Mutex
	waiting map[tidingKey]*tiding
	chats   map[proto.Token]int // how many of them are of a chat
}

func newTidings() *tidings {
	return &tidings{wake: make(chan struct{}, 1), waiting: map[tidingKey]*tiding{}, chats: map[proto.Token]int{}}
}

// holds says whether a chat is known to be a large one with receipts just now.
func (k *tidings) holds(chat proto.Token) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.chats[chat] > 0
}

// add lets a receipt wait with the others of its author; false if too many
// authors have something to hear.
func (k *tidings) add(t *tiding, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.waiting[t.key]
	if w == nil {
		if len(k.waiting) >= maxTidings {
			return false
		}
		w = &tiding{key: t.key, chatID: t.chatID, due: now}
		k.waiting[t.key] = w
		k.chats[t.key.chat]++
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	w.fold(t)
	return true
}

// fold takes up a receipt. What is said of the newest message stays true of the
// user named with it: one who is not that far is only counted.
func (t *tiding) fold(one *tiding) {
	if one.newest.seq >= t.newest.seq {
		t.newest, t.user, t.at = one.newest, one.user, one.at
	}
	if i := slices.Index(t.users, one.user); i >= 0 {
		t.users = slices.Delete(t.users, i, i+1)
	} else {
		t.count++
	}
	if len(t.users) == proto.MaxReceiptUsers {
		t.users = slices.Delete(t.users, 0, 1)
	}
	t.users = append(t.users, one.user)
}

// ready is whose turn it is, or everyone's. Those with nothing to hear since
// their last event are forgotten.
func (k *tidings) ready(now time.Time, everyone bool) (keys []tidingKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, t := range k.waiting {
		switch {
		case t.due.After(now) && !everyone:
		case t.count > 0:
			keys = append(keys, key)
		default:
			delete(k.waiting, key)
			if k.chats[key.chat]--; k.chats[key.chat] == 0 {
				delete(k.chats, key.chat)
			}
		}
	}
	return keys
}

// take gives what waits for an author; the next waits its time.
func (k *tidings) take(key tidingKey, now time.Time) tiding {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.waiting[key]
	taken := *t
	// Longer by a moment, so that another instance has its turn too.
	*t = tiding{key: key, chatID: t.chatID, due: now.Add(tidingEvery + tidingTick/2)}
	return taken
}

// idle says that nothing waits.
func (k *tidings) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.waiting) == 0
}

// tellTidings sends what waits until ctx ends, and then the rest.
func (s *Service) tellTidings(ctx context.Context) error {
	tick := time.NewTicker(tidingTick)
	defer tick.Stop()
	for {
		if s.tidings.idle() {
			select {
			case <-s.tidings.wake:
			case <-ctx.Done():
			}
		}
		select {
		case <-tick.C:
			s.flushTidings(ctx, s.tidings.ready(s.host.Now(), false), false)
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidingsEnd)
			defer cancel()
			s.flushTidings(end, s.tidings.ready(s.host.Now(), true), true)
			return nil
		}
	}
}

// flushTidings sends what waits for authors whose turn it is: who is a member
// still, and has not heard from another instance within the second. While Redis
// is away that is judged here alone.
func (s *Service) flushTidings(ctx context.Context, keys []tidingKey, last bool) {
	if len(keys) == 0 {
		return
	}
	asks := make([]roster.Turn, len(keys))
	for i, k := range keys {
		asks[i] = roster.Turn{Chat: k.chat, Author: k.author, What: k.verb.String()}
	}
	turns, err := s.roster.Load().Turns(ctx, asks, tidingEvery)
	now := s.host.Now()
	for i, key := range keys {
		var turn roster.TurnIs
		if err == nil {
			turn = turns[i]
		} else if c, ok := s.chats.peek(string(key.chat)); ok {
			_, _, turn.Member = c.seen(key.author, now)
			turn.Free = true
		}
		if turn.Member && !turn.Free && !last {
			continue // it stays, and is asked about again at the next tick
		}
		if t := s.tidings.take(key, now); turn.Member {
			s.emit(&t)
		}
	}
}
