package roster

import (
	"strconv"
	"strings"

	"supmesh.dev/chat/projection"
)

// Stay is when a user was a member of a chat, in stream positions: since First, but for
// the absences. What was stored during an absence, or before First, is not owed to the
// user and not unread (CONTRACT §3).
type Stay struct {
	First uint64
	Away  []Absence // oldest first
}

// Absence is what lies behind the removal of a member, up to the return.
type Absence struct{ Left, Joined uint64 }

// Covers reports whether an entry was stored while the user was a member.
func (s Stay) Covers(position uint64) bool {
	if position <= s.First {
		return false
	}
	for _, a := range s.Away {
		if position > a.Left && position <= a.Joined {
			return false
		}
	}
	return true
}

// stayOf reads a value of proto.AwayKey of one who is a member now. The membership's own
// position of joining ends the last absence, also where the value is a moment older.
func stayOf(m projection.Member, away string) Stay {
	first, rest, _ := strings.Cut(away, " ")
	n, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return Stay{First: m.Joined}
	}
	s := Stay{First: n}
	for part := range strings.FieldsSeq(rest) {
		left, joined, _ := strings.Cut(part, "-")
		var a Absence
		if a.Left, err = strconv.ParseUint(left, 10, 64); err != nil {
			return Stay{First: m.Joined}
		}
		if a.Joined, err = strconv.ParseUint(joined, 10, 64); err != nil {
			a.Joined = m.Joined
		}
		s.Away = append(s.Away, a)
	}
	return s
}
