package journal

import (
	"fmt"
	"strconv"
	"strings"
)

// Mark is as of which entry of a subject something is.
type Mark struct {
	Epoch    string // of the log
	Position uint64 // 0: before the first
}

// String is the mark as one text; the zero mark's is empty.
func (m Mark) String() string {
	if m.Epoch == "" {
		return ""
	}
	return m.Epoch + " " + strconv.FormatUint(m.Position, 10)
}

// ParseMark is the inverse of Mark.String, but for the zero mark.
func ParseMark(s string) (Mark, error) {
	epoch, at, ok := strings.Cut(s, " ")
	position, err := strconv.ParseUint(at, 10, 64)
	if !ok || err != nil {
		return Mark{}, fmt.Errorf("mark %q does not parse", s)
	}
	return Mark{Epoch: epoch, Position: position}, nil
}
