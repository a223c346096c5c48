package board

import (
	"strconv"
	"strings"

	"supmesh.dev/services/journal"
)

// The epoch of a chat's mark is the log's. Where that has lost an end which Redis
// had, a dot and how often that was follow: the keys are named by it, and what
// stands under the old ones counts no more.

// logOf is the epoch of the log that a mark is of.
func logOf(m journal.Mark) string {
	epoch, _, _ := strings.Cut(m.Epoch, ".")
	return epoch
}

// anew is the mark of a chat that is to be read from its beginning, where it was as
// of another mark.
func anew(was journal.Mark, epoch string) journal.Mark {
	if logOf(was) != epoch {
		return journal.Mark{Epoch: epoch}
	}
	_, times, _ := strings.Cut(was.Epoch, ".")
	n, _ := strconv.Atoi(times) // none: the first time
	return journal.Mark{Epoch: epoch + "." + strconv.Itoa(n+1)}
}
