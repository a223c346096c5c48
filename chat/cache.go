package chat

import (
	"container/list"
	"sync"
	"time"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// Bounds of what is kept in memory of one chat's members, for when Redis is away.
const (
	memberFor  = time.Minute
	maxMembers = 1024
)

// chatState is what this instance remembers of one chat. It may be behind: the
// log refuses what is built on an old head.
type chatState struct {
	id    string
	token proto.Token
	keys  *projection.Keys
	// subject is the log's of its messages.
	subject string
	all     string // the pattern of every kind

	// appending is held over a send, so that this instance's appends to one chat
	// follow one another; the rest belongs to its holder.
	appending sync.Mutex
	known     bool
	place

	healing  sync.Mutex // held over a heal; taken inside appending, revising or alone
	revising sync.Mutex // held over an edit or deletion, so that this instance's follow one another

	mu      sync.Mutex
	members map[proto.Token]seenMember
}

// place is how far a chat's log is.
type place struct {
	seq, position uint64 // of the last message
	meta          uint64 // position of the last change of members and the like
	fence         uint64 // position of the last entry of any kind
}

type seenMember struct {
	projection.Member
	meta uint64 // as of which change
	at   time.Time
}

// see remembers a membership that Redis has just confirmed.
func (c *chatState) see(user proto.Token, m projection.Member, meta uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.members[user]; ok && old.Member == m && old.meta == meta && now.Sub(old.at) < time.Second {
		return
	}
	if c.members == nil {
		c.members = make(map[proto.Token]seenMember)
	}
	if len(c.members) >= maxMembers {
		clear(c.members)
	}
	c.members[user] = seenMember{m, meta, now}
}

// seen is a membership confirmed within the last minute and not known to have
// ended since, and as of which change it was.
func (c *chatState) seen(user proto.Token, now time.Time) (m projection.Member, meta uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.members[user]
	return seen.Member, seen.meta, ok && now.Sub(seen.at) < memberFor
}

// forget drops what is remembered of users.
func (c *chatState) forget(users ...proto.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range users {
		delete(c.members, u)
	}
}

// lru keeps the most recently used values under their keys. Two callers may
// hold two values of one key after it was dropped in between: values must bear that.
type lru[V any] struct {
	limit int
	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *lruEntry[V], newest first
}

type lruEntry[V any] struct {
	key   string
	value V
}

func newLRU[V any](limit int) *lru[V] {
	return &lru[V]{limit: limit, byKey: make(map[string]*list.Element), order: list.New()}
}

// get is the value of key, made if there is none.
func (l *lru[V]) get(key string, fresh func() V) V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[key]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*lruEntry[V]).value
	}
	entry := &lruEntry[V]{key: key, value: fresh()}
	l.byKey[key] = l.order.PushFront(entry)
	for l.order.Len() > l.limit {
		oldest := l.order.Back()
		l.order.Remove(oldest)
		delete(l.byKey, oldest.Value.(*lruEntry[V]).key)
	}
	return entry.value
}

// peek is the value of key, if there is one.
func (l *lru[V]) peek(key string) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[key]
	if ok {
		value = e.Value.(*lruEntry[V]).value
	}
	return value, ok
}

// clear drops everything.
func (l *lru[V]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.byKey)
	l.order.Init()
}
