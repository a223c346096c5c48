package gateway

import (
	"math"
	"sync"

	"supmesh.dev/gateway/catchup"
	"supmesh.dev/gateway/typing"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// The kinds of a topic's log that are followed for holes.
const (
	kindMessage  = iota // of a chat; of a user, what chat says
	kindMeta            // membership, name, settings
	kindReaction        //
	kindEdit            // edits and deletions of messages
	kinds
)

// kindRing is of a user, who has none of a chat's other kinds: calls that ring,
// or were missed.
const kindRing = kindMeta

// kindNotice is of a user too: notifications. What is between them, of what was read
// and cleared, has no event and is for services.
const kindNotice = kindReaction

// kindOther is a kind that this version does not know: its live copies are
// passed on, and that is all.
const kindOther = kinds

func kindOf(k proto.Kind) int {
	switch k {
	case proto.KindMessage:
		return kindMessage
	case proto.KindMeta:
		return kindMeta
	case proto.KindReaction:
		return kindReaction
	case proto.KindEdit:
		return kindEdit
	case proto.KindLog, proto.KindEphemeral, proto.KindRelations, proto.KindStatus, proto.KindRing, proto.KindCalls, proto.KindNotice, proto.KindPush: // of a user, not of a chat
	}
	return kindOther
}

// kindOfUser is kindOf for what is stored of a user; false for what is for
// services alone.
func kindOfUser(k proto.Kind) (kind int, forClients bool) {
	switch k {
	case proto.KindLog:
		return kindMessage, true
	case proto.KindRing:
		return kindRing, true
	case proto.KindNotice:
		return kindNotice, true
	case proto.KindRelations, proto.KindStatus, proto.KindCalls, proto.KindPush:
		return kindOther, false
	case proto.KindMessage, proto.KindMeta, proto.KindReaction, proto.KindEdit, proto.KindEphemeral:
	}
	return kindOther, true
}

// hold is the `from` of a member that gets nothing yet.
const hold = math.MaxUint64

// member is one session in a topic.
type member struct {
	session *Session
	from    uint64        // messages beyond this position are delivered
	told    uint64        // everything else beyond this position is
	owed    *catchup.Owed // not nil: behind, messages are noted and not delivered
	version uint64        // of the chat when this membership began here; 0: unknown
}

// topic is a chat, or a user's own subject, with at least one session here.
//
// Locks are taken in this order: hub shard, topic, session.
type topic struct {
	token proto.Token
	chat  string // its id; "" for a user's topic
	born  uint64 // on the hub's counter

	mu      sync.Mutex
	sub     subscription
	members []member
	tracks  [kinds]catchup.Track
	seq     uint64 // of the last message passed on
	version uint64 // of the chat, as far as known
	applied uint64 // of the last membership change applied
	queued  bool   // for a read of the log
	failed  int    // reads of the log in a row
	gone    bool   // out of the hub
	probed  int64  // of a user: when their clients were asked for a sign of life last, Unix milliseconds
	view    *view  // nil: no session here has the chat open
	typists typing.Typists
}

// live and log are the topic's subjects.
func (t *topic) live() string {
	if t.chat == "" {
		return proto.UserLive(t.token)
	}
	return proto.ChatLive(t.token)
}

func (t *topic) log() string {
	if t.chat == "" {
		return proto.UserLogAll(t.token)
	}
	return proto.ChatLogAll(t.token)
}

func (t *topic) indexLocked(s *Session) int {
	for i := range t.members {
		if t.members[i].session == s {
			return i
		}
	}
	return -1
}

// joinLocked makes a session a member, unless it is one or has closed.
func (t *topic) joinLocked(s *Session, from uint64) {
	if t.indexLocked(s) < 0 && s.enter(t) {
		t.members = append(t.members, member{session: s, from: from, told: from, version: t.applied})
	}
}

// addLocked makes a session a member whose user was added at a position of the log,
// with a version of the chat. One that is held learns that from the log.
func (t *topic) addLocked(s *Session, position, version uint64) {
	if position <= s.hasLeft(t.token) {
		return
	}
	t.joinLocked(s, position-1)
	if i := t.indexLocked(s); i >= 0 && t.members[i].from != hold {
		t.members[i].version = max(t.members[i].version, version)
	}
}

// endsLocked says whether a removal with a version of the chat (0: unknown) ends the
// membership of member i: it is not about an earlier one. One that is held
// learns of it from the log.
func (t *topic) endsLocked(i int, version uint64) bool {
	return t.members[i].from != hold && (version == 0 || version > t.members[i].version)
}

// leaveLocked ends a membership.
func (t *topic) leaveLocked(s *Session) {
	i := t.indexLocked(s)
	if i < 0 {
		return
	}
	last := len(t.members) - 1
	t.members[i] = t.members[last]
	t.members[last] = member{}
	t.members = t.members[:last]
	s.exit(t)
	s.svc.quitLocked(t, s)
}

// deliverLocked sends an entry to every member it is for, and returns those
// whose queue is full.
func (t *topic) deliverLocked(e *entry, kind int) (slow []*Session) {
	if e.event == "" { // for services
		return nil
	}
	message := kind == kindMessage && t.chat != ""
	if message {
		t.seq = max(t.seq, e.seq)
	}
	var frames [profiles]*wsconn.Frame
	for i := range t.members {
		m := &t.members[i]
		own := e.socket != "" && m.session.id == e.socket
		if message && m.owed != nil {
			m.owed.Note(e.seq, e.position, own)
			continue
		}
		if kind == kindEdit && m.owed != nil {
			m.owed.Edited(e.seq)
		}
		from := m.told
		if message {
			from = m.from
		}
		if own || e.position <= from || e.call != nil && !m.session.hears(e.call) {
			continue
		}
		p := m.session.peer.profile()
		if frames[p] == nil {
			frames[p] = durableFrame(p, e.event, e.body, e.position)
		}
		if m.session.send(frames[p]) {
			slow = append(slow, m.session)
		}
	}
	return slow
}

// readingLocked says behind which position the log must be read, if it must.
func (t *topic) readingLocked() (after uint64, reading bool) {
	after = hold
	for i := range t.tracks {
		if t.tracks[i].Reading() {
			after, reading = min(after, t.tracks[i].Last()), true
		}
	}
	return after, reading
}

// knownLocked is the highest position at which an entry is known to exist.
func (t *topic) knownLocked() (known uint64) {
	for i := range t.tracks {
		known = max(known, t.tracks[i].Known())
	}
	return known
}

// lastLocked is the highest position that has passed.
func (t *topic) lastLocked() uint64 { return max(t.tracks[kindMessage].Last(), t.otherLocked()) }

// otherLocked is the highest position that has passed of what is no message.
func (t *topic) otherLocked() (last uint64) {
	for i := range t.tracks {
		if i != kindMessage {
			last = max(last, t.tracks[i].Last())
		}
	}
	return last
}

// suspectLocked says that live copies of every kind may have been missed.
func (t *topic) suspectLocked() {
	for i := range t.tracks {
		t.tracks[i].Suspect(0)
	}
}

// beginLocked sets where the tracks begin that have not; false if all have. They have
// where a member is served: then none is held back by another's beginning.
func (t *topic) beginLocked(position uint64) (begun bool) {
	for i := range t.tracks {
		begun = begun || !t.tracks[i].Begun()
		t.tracks[i].Begin(position)
	}
	return begun
}

// forgetLocked voids every position: the log is another one.
func (t *topic) forgetLocked() {
	t.tracks = [kinds]catchup.Track{}
	t.seq, t.version, t.applied = 0, 0, 0
}
