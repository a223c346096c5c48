package history

import (
	"strconv"
	"strings"
)

// mark is how far Redis has a user's calls. The zero mark: not at all.
type mark struct {
	position uint64 // of the newest entry that is here with all before it
	whole    bool   // the end of the log was reached once
	epoch    string // of the log
}

// covers says that everything of a log up to a position is here.
func (m mark) covers(epoch string, position uint64) bool {
	return m.whole && m.epoch == epoch && m.position >= position
}

func (m mark) text() string {
	state := "part"
	if m.whole {
		state = "whole"
	}
	return strconv.FormatUint(m.position, 10) + " " + state + " " + m.epoch
}

func parseMark(text string) mark {
	position, rest, _ := strings.Cut(text, " ")
	state, epoch, ok := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(position, 10, 64)
	if !ok || err != nil {
		return mark{}
	}
	return mark{n, state == "whole", epoch}
}
