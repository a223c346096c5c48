package gateway

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"supmesh.dev/proto"
)

const hubShards = 64

// hub knows which sessions are here, by user and by chat. A topic exists, and
// is subscribed, as long as it has members.
type hub struct {
	store *store
	seed  maphash.Seed
	clock atomic.Uint64 // counts topics: says which of two things came first
	chats [hubShards]hubShard
	users [hubShards]hubShard
}

type hubShard struct {
	mu     sync.RWMutex
	topics map[proto.Token]*topic
}

func newHub(store *store) *hub {
	h := &hub{store: store, seed: maphash.MakeSeed()}
	for i := range hubShards {
		h.chats[i].topics = make(map[proto.Token]*topic)
		h.users[i].topics = make(map[proto.Token]*topic)
	}
	return h
}

func (h *hub) shard(shards *[hubShards]hubShard, token proto.Token) *hubShard {
	return &shards[maphash.String(h.seed, string(token))%hubShards]
}

func (s *hubShard) get(token proto.Token) *topic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[token]
}

// chat is the topic of a chat, nil if none of its members is here.
func (h *hub) chat(token proto.Token) *topic { return h.shard(&h.chats, token).get(token) }

// chatOf is chat for an id as clients know it.
func (h *hub) chatOf(id string) *topic {
	token, err := proto.EncodeID(id)
	if err != nil {
		return nil
	}
	return h.chat(token)
}

// user is the topic of a user, nil if the user is not here.
func (h *hub) user(token proto.Token) *topic { return h.shard(&h.users, token).get(token) }

// sessions is every session of a user.
func (h *hub) sessions(user proto.Token) []*Session {
	t := h.user(user)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Session, len(t.members))
	for i := range t.members {
		all[i] = t.members[i].session
	}
	return all
}

// withChat calls fn with the locked topic of a chat, which is made and
// subscribed if it is not there; fn must leave it with a member, or it goes again.
func (h *hub) withChat(token proto.Token, chat string, fn func(t *topic)) error {
	return h.with(h.shard(&h.chats, token), token, chat, fn)
}

// withUser is withChat for a user's topic.
func (h *hub) withUser(token proto.Token, fn func(t *topic)) error {
	return h.with(h.shard(&h.users, token), token, "", fn)
}

func (h *hub) with(s *hubShard, token proto.Token, chat string, fn func(t *topic)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[token]
	if t == nil {
		t = &topic{token: token, chat: chat}
		sub, err := h.store.subscribe(t.live())
		if err != nil {
			return err
		}
		// Counted only now: who reads the counter from here on asks behind the subscription.
		t.sub, t.born = sub, h.clock.Add(1)
		s.topics[token] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(t)
	h.pruneLocked(s, t)
	return nil
}

// release ends a session's membership of a topic.
func (h *hub) release(t *topic, session *Session) {
	s := h.shardOf(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked(session)
	h.pruneLocked(s, t)
}

// prune forgets a topic whose last member has left.
func (h *hub) prune(t *topic) {
	s := h.shardOf(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	h.pruneLocked(s, t)
}

// pruneLocked keeps a chat that is being read: what that read has not brought yet, and
// its live copies did not do, may make somebody a member again. repair comes for it.
func (h *hub) pruneLocked(s *hubShard, t *topic) {
	_, reading := t.readingLocked()
	if len(t.members) == 0 && !t.gone && (!reading || t.chat == "") {
		t.gone = true
		t.sub.end()
		delete(s.topics, t.token)
	}
}

func (h *hub) shardOf(t *topic) *hubShard {
	if t.chat == "" {
		return h.shard(&h.users, t.token)
	}
	return h.shard(&h.chats, t.token)
}

// all is every topic of the kind, as of now.
func all(shards *[hubShards]hubShard) []*topic {
	var out []*topic
	for i := range shards {
		out = shards[i].all(out)
	}
	return out
}

func (s *hubShard) all(out []*topic) []*topic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.topics {
		out = append(out, t)
	}
	return out
}

// everyone is every session here.
func (h *hub) everyone() []*Session { return sessionsOf(all(&h.users)) }

// someone is the sessions of the users of one shard.
func (h *hub) someone(shard int) []*Session { return sessionsOf(h.users[shard].all(nil)) }

func sessionsOf(topics []*topic) []*Session {
	var out []*Session
	for _, t := range topics {
		t.mu.Lock()
		for i := range t.members {
			out = append(out, t.members[i].session)
		}
		t.mu.Unlock()
	}
	return out
}

// size is how many topics are here.
func (h *hub) size() (n int) {
	for i := range h.chats {
		n += h.chats[i].size() + h.users[i].size()
	}
	return n
}

func (s *hubShard) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.topics)
}

// patterns are the subjects of the log that the topics here stand for.
func (h *hub) patterns() []string {
	out := make([]string, 0, h.size())
	for _, t := range all(&h.chats) {
		out = append(out, proto.ChatLogAll(t.token))
	}
	for _, t := range all(&h.users) {
		out = append(out, proto.UserLogAll(t.token))
	}
	return out
}

// empty says whether no session is here.
func (h *hub) empty() bool {
	for i := range h.users {
		if h.users[i].size() > 0 {
			return false
		}
	}
	return true
}

// forgetPositions voids what is known of the log.
func (h *hub) forgetPositions() {
	for _, t := range append(all(&h.chats), all(&h.users)...) {
		t.mu.Lock()
		t.forgetLocked()
		t.mu.Unlock()
	}
}
