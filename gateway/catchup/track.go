package catchup

// Verdict is what to do with a live copy.
type Verdict uint8

const (
	// Deliver: it is the next one.
	Deliver Verdict = iota
	// Drop: it has been delivered.
	Drop
	// Hold: it comes after a hole that is being read; the read brings it.
	Hold
	// Read: it shows a hole. Start to read the log behind Last; the read brings it.
	Read
)

type state uint8

const (
	unknown state = iota // nothing seen yet
	live
	reading
)

// Track follows one subject of the log. The zero Track takes whatever comes
// first as the beginning.
type Track struct {
	last    uint64 // all up to here has been delivered, or is not wanted
	horizon uint64 // while reading: the highest position heard of
	state   state
}

// Begin sets where an unknown track begins: entries up to position are not
// wanted. A track that has begun stays as it is.
func (t *Track) Begin(position uint64) {
	if t.state == unknown {
		t.last, t.state = position, live
	}
}

// Live judges a live copy, given the position of the entry of the same subject
// before it (0 for none).
func (t *Track) Live(position, previous uint64) Verdict {
	switch {
	case t.state == unknown:
		t.last, t.state = position, live
		return Deliver
	case position <= t.last:
		return Drop
	case t.state == reading:
		t.horizon = max(t.horizon, position)
		return Hold
	case previous > t.last:
		t.horizon, t.state = position, reading
		return Read
	}
	t.last = position
	return Deliver
}

// Suspect says that copies may have been missed without a trace, for example
// over a reconnect. upTo is a position that is known to exist, 0 if none is.
// It reports whether the caller must start to read.
func (t *Track) Suspect(upTo uint64) (start bool) {
	switch t.state {
	case live:
		t.horizon, t.state = max(upTo, t.last), reading
		return true
	case reading:
		t.horizon = max(t.horizon, upTo)
	case unknown:
	}
	return false
}

// Last is the position up to which everything has been delivered: a read
// begins behind it.
func (t *Track) Last() uint64 { return t.last }

// Reading says whether a hole is being read.
func (t *Track) Reading() bool { return t.state == reading }

// Begun says whether the track has a beginning.
func (t *Track) Begun() bool { return t.state != unknown }

// Replayed says whether an entry that a read found is to be delivered.
func (t *Track) Replayed(position uint64) bool {
	if position <= t.last {
		return false
	}
	t.last = position
	return true
}

// Ended notes that the log has no further entry of the subject as of the position
// upTo: what is known to exist up to there and has not come was deleted from the log.
// It reports whether that is far enough: copies may have come meanwhile. If not, read
// on behind Last.
func (t *Track) Ended(upTo uint64) (done bool) {
	if t.state != reading {
		return true
	}
	if max(t.last, upTo) < t.horizon {
		return false
	}
	t.last, t.state = max(t.last, t.horizon), live
	return true
}

// Known is the highest position that is known to exist.
func (t *Track) Known() uint64 { return max(t.last, t.horizon) }
