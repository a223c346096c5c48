package state

import (
	"slices"

	"supmesh.dev/proto"
)

// Conn is one connection of a user, or one that has ended and still counts.
type Conn struct {
	PID     string       `json:"pid"`
	Fence   uint64       `json:"fence"` // a larger one of the same pid is newer
	Gateway proto.Token  `json:"gw"`    // the lease's name
	Inbox   proto.Token  `json:"in"`    // where its gateway is asked to close it
	Socket  string       `json:"sid"`
	Device  string       `json:"dev"`
	Status  proto.Status `json:"st"` // the device's own: online or away
	Since   int64        `json:"at"`
	Until   int64        `json:"until,omitzero"`   // not 0: it has ended, and counts until then
	Gone    int64        `json:"gone,omitzero"`    // when it ended, or its gateway was last heard of
	Lost    bool         `json:"lost,omitzero"`    // it has ended with its gateway, maybe
	Asked   []string     `json:"asked,omitzero"`   // the last requests that updated the status
	AskedAt int64        `json:"askedAt,omitzero"` // its Asked.At
	Seq     uint64       `json:"seq,omitzero"`     // of the gateway's report that announced it last
}

// live says whether the connection is there, as far as is known.
func (c *Conn) live() bool { return c.Until == 0 }

// Own is what a user has set.
type Own struct {
	Status proto.Status `json:"st,omitzero"` // busy, offline, or nothing: the devices decide
	Until  int64        `json:"until,omitzero"`
	By     string       `json:"by,omitzero"` // the device that set the status
	Custom string       `json:"text,omitzero"`
	Ends   int64        `json:"ends,omitzero"` // of the custom status
	At     int64        `json:"at,omitzero"`   // when it was set; the newer wins
}

// Shown is what others were told last.
type Shown struct {
	Status  proto.Status `json:"st"`
	Custom  string       `json:"text,omitzero"`
	Version uint64       `json:"v"`
	At      int64        `json:"at"`
}

// Record is all that is known of one user. The zero one is a user never seen.
type Record struct {
	Conns []Conn `json:"conns,omitzero"`
	Own   Own    `json:"own,omitzero"`
	Fence uint64 `json:"fence,omitzero"` // the highest there has been
	// Read says that Own has been read from the log, where it is stored; Position is
	// that of its entry, 0 if there is none. Own may be older than the log from the
	// moment Doubt on: an entry was to be appended.
	Read     bool   `json:"read,omitzero"`
	Position uint64 `json:"pos,omitzero"`
	Doubt    int64  `json:"doubt,omitzero"`
	Seen     int64  `json:"seen,omitzero"` // until when the user was there, for others
	Shown    Shown  `json:"shown,omitzero"`
	Noted    Noted  `json:"noted,omitzero"` // what is stored of Seen outside the registry
}

// Noted is when the user was last seen, as it is stored: at a moment, or there since.
type Noted struct {
	At int64 `json:"at"`
	On bool  `json:"on,omitzero"`
}

// noteEvery is by how much last seen may be wrong, in milliseconds, if Redis is lost.
const noteEvery = 60_000

// Note returns what is to be stored of when the user was last seen, if it would move that
// by a minute or more; the record then says that it is.
func (r *Record) Note(now int64) (n Noted, write bool) {
	switch visible := r.Effective(now) != proto.StatusOffline; {
	case visible && !r.Noted.On && now >= r.Noted.At+noteEvery:
		r.Noted = Noted{At: now, On: true}
	case !visible && r.Seen > 0 && (r.Noted.On || r.Seen >= r.Noted.At+noteEvery):
		r.Noted = Noted{At: r.Seen}
	default:
		return Noted{}, false
	}
	return r.Noted, true
}

// Clone returns a copy that can be changed.
func (r *Record) Clone() Record {
	out := *r
	out.Conns = slices.Clone(r.Conns)
	return out
}

func (r *Record) index(pid string) int {
	return slices.IndexFunc(r.Conns, func(c Conn) bool { return c.PID == pid })
}

// Conn is the connection of a session, if the record has one.
func (r *Record) Conn(pid string) (Conn, bool) {
	if i := r.index(pid); i >= 0 {
		return r.Conns[i], true
	}
	return Conn{}, false
}

// Elsewhere counts the connections that are not on the gateway with an inbox.
func (r *Record) Elsewhere(inbox proto.Token) (n int) {
	for i := range r.Conns {
		if r.Conns[i].live() && r.Conns[i].Inbox != inbox {
			n++
		}
	}
	return n
}

// nextFence is larger than any there was, also where Redis has forgotten them.
func (r *Record) nextFence(now int64) uint64 {
	r.Fence = max(r.Fence+1, uint64(now))
	return r.Fence
}

// Open notes a connection; what the session had before, it replaces.
func (r *Record) Open(c Conn, now int64) (fence uint64) {
	c.Fence, c.Until, c.Gone, c.Lost = r.nextFence(now), 0, 0, false
	r.put(c)
	return c.Fence
}

func (r *Record) put(c Conn) {
	if i := r.index(c.PID); i >= 0 {
		r.Conns[i] = c
	} else {
		r.Conns = append(r.Conns, c)
	}
}

// Take removes the connection of a session that goes on as another.
func (r *Record) Take(pid string) (Conn, bool) {
	i := r.index(pid)
	if i < 0 {
		return Conn{}, false
	}
	c := r.Conns[i]
	r.Conns = slices.Delete(r.Conns, i, i+1)
	return c, true
}

// Announce notes a connection that its gateway says is there. known is the
// session's highest fence by its own record. A session that has gone on
// elsewhere since, or that its gateway has closed since, is refused: ok is false.
// One without a fence is given one.
func (r *Record) Announce(c Conn, known uint64, now int64) (fence uint64, ok bool) {
	if i := r.index(c.PID); i >= 0 {
		known = max(known, r.Conns[i].Fence)
		if !r.Conns[i].live() && !r.Conns[i].Lost {
			known = max(known, r.Conns[i].Fence+1)
		}
		if c.Fence == 0 && r.Conns[i].Socket == c.Socket {
			c.Fence = r.Conns[i].Fence // it was opened, and the answer was lost
		}
	}
	if c.Fence == 0 {
		if known > 0 {
			return 0, false // somebody has opened it: this one is older
		}
		c.Fence = r.nextFence(now)
	}
	if c.Fence < known {
		return 0, false
	}
	r.Fence = max(r.Fence, c.Fence)
	if had, ok := r.Conn(c.PID); ok && had.Fence == c.Fence {
		if c.Seq < had.Seq {
			return c.Fence, true // a later report has said where it is
		}
		c.Status = had.Status
	}
	c.Until, c.Gone, c.Lost = 0, 0, false
	r.put(c)
	return c.Fence, true
}

// Close ends a connection at a moment; unless it is final it counts for the
// grace. An older fence than the connection's changes nothing.
func (r *Record) Close(pid string, fence uint64, at int64, final bool, now, grace int64) bool {
	i := r.index(pid)
	if i < 0 || r.Conns[i].Fence != fence {
		return false
	}
	c := &r.Conns[i]
	switch {
	case c.live():
		c.Until = now + grace
	case c.Lost: // its gateway lives after all, and says what became of it
		c.Lost = false
	default:
		return false
	}
	c.Gone = min(max(at, c.Since), now)
	r.seen(c.Gone, now)
	if final {
		c.Until = now
	}
	return true
}

// Lose ends the connections of a gateway that was last heard of at a moment.
func (r *Record) Lose(gateway proto.Token, heard, now, grace int64) (changed bool) {
	for i := range r.Conns {
		c := &r.Conns[i]
		if c.Gateway != gateway || !c.live() {
			continue
		}
		c.Gone = min(max(heard, c.Since), now)
		r.seen(c.Gone, now)
		c.Until, c.Lost = now+grace, true
		changed = true
	}
	return changed
}

// seen notes until when the user was there. Who is invisible was not.
func (r *Record) seen(at, now int64) {
	if !r.invisible(now) {
		r.Seen = max(r.Seen, at)
	}
}

// Settle removes what no longer counts and gives it.
func (r *Record) Settle(now int64) (gone []Conn) {
	r.Conns = slices.DeleteFunc(r.Conns, func(c Conn) bool {
		over := !c.live() && c.Until <= now
		if over {
			gone = append(gone, c)
		}
		return over
	})
	if r.Own.Until != 0 && r.Own.Until <= now {
		r.Own.Status, r.Own.Until, r.Own.By = "", 0, ""
	}
	if r.Own.Ends != 0 && r.Own.Ends <= now {
		r.Own.Custom, r.Own.Ends = "", 0
	}
	return gone
}
