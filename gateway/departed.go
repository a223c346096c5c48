package gateway

import (
	"sync"
	"time"

	"supmesh.dev/proto"
)

// Bounds of what is remembered of memberships that ended.
const (
	departedFor = time.Minute // at the least; chat's working state is behind its log for milliseconds
	maxDeparted = 1 << 16     // of a generation
)

// departed remembers which memberships have ended, by the version of the chat
// that ended them. Chat answers rpc.chat.open from Redis, which follows the log:
// an answer made in between would list a membership whose end has already gone
// by here, and nothing would ever take it back.
type departed struct {
	mu       sync.Mutex
	now, old map[departure]ended // two generations, the elder is dropped
	turned   time.Time
}

type departure struct{ chat, user proto.Token }

// ended is the last end of a membership; zero for none.
type ended struct{ version, position uint64 }

// note remembers the end of a membership.
func (d *departed) note(chat, user proto.Token, end ended) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := time.Now(); d.now == nil || len(d.now) >= maxDeparted || at.Sub(d.turned) > departedFor {
		d.now, d.old, d.turned = make(map[departure]ended), d.now, at
	}
	key := departure{chat, user}
	if end.version > d.now[key].version {
		d.now[key] = end
	}
}

// forget voids what is remembered: the log is another one.
func (d *departed) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now, d.old = nil, nil
}

// last is the last end that is remembered of a user's memberships of a chat.
func (d *departed) last(chat, user proto.Token) ended {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := departure{chat, user}
	end := d.now[key]
	if old := d.old[key]; old.version > end.version {
		end = old
	}
	return end
}

// since says whether a membership of that version or an older one is over.
func (d *departed) since(chat, user proto.Token, version uint64) bool {
	return d.last(chat, user).version > version
}

// without is the chats of an answer but those whose membership has ended here.
func (d *departed) without(chats []proto.ChatHead, user proto.Token) []proto.ChatHead {
	kept := chats[:0]
	for _, c := range chats {
		token, err := proto.EncodeID(c.ChatID)
		if err == nil && d.since(token, user, c.Version) {
			continue
		}
		kept = append(kept, c)
	}
	return kept
}
