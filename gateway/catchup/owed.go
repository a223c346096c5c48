package catchup

import "slices"

// Owed is what one connection has not had of one chat: the messages in
// (after, upTo]. It exists only while the connection is behind in that chat.
type Owed struct {
	after    uint64   // seq: all up to here has been sent
	upTo     uint64   // seq: the highest message known to exist
	position uint64   // stream position of upTo
	own      []uint64 // seqs that this connection sent itself meanwhile: no echo
	edited   []uint64 // seqs edited since the page under way was asked for
	absent   []seqRange
}

// seqRange is seqs that a page says are absent.
type seqRange struct{ from, to uint64 }

// maxEdited bounds the edits noted while a page is under way; beyond it every
// message of the page counts as stale.
const maxEdited = 256

// Owe begins at a device's cursor; the chat's last message has this seq and position.
func Owe(delivered, lastSeq, lastPosition uint64) *Owed {
	return &Owed{after: delivered, upTo: lastSeq, position: lastPosition}
}

// Note takes notice of a live message that is not sent now, because older ones
// come first. own: this connection is its sender.
func (o *Owed) Note(seq, position uint64, own bool) {
	o.upTo, o.position = max(o.upTo, seq), max(o.position, position)
	if own && seq > o.after {
		o.own = append(o.own, seq)
	}
}

// Asking says that a page is asked for now: it knows of every edit so far.
func (o *Owed) Asking() { o.edited, o.absent = o.edited[:0], o.absent[:0] }

// Absent notes a range of seqs that, by the page under way, do not exist any more or are
// not for this user. The ranges of a page come in order.
func (o *Owed) Absent(first, last uint64) {
	o.absent = append(o.absent, seqRange{first, last})
	o.skip()
}

// skip passes over what is absent right behind what has been sent.
func (o *Owed) skip() {
	for _, r := range o.absent {
		if r.from <= o.after+1 && r.to > o.after {
			o.after = r.to
		}
	}
}

// Edited takes notice of an edit that has been sent, of a message that may not
// have been: a page under way may bring it as it was before.
func (o *Owed) Edited(seq uint64) {
	if seq > o.after && len(o.edited) <= maxEdited {
		o.edited = append(o.edited, seq)
	}
}

// Stale says that a message of the page under way must be asked for again, and
// with it all that follow: to send it now would undo an edit.
func (o *Owed) Stale(seq uint64) bool {
	return len(o.edited) > maxEdited || slices.Contains(o.edited, seq)
}

// Range is what to ask for next: messages with after < seq ≤ upTo.
func (o *Owed) Range() (after, upTo uint64) { return o.after, o.upTo }

// Follows reports whether a message of a page is the next one. If it is not, the page
// lacks one before it without saying that it is absent: the rest of the page must be
// asked for again.
func (o *Owed) Follows(seq uint64) bool { return seq <= o.after+1 }

// Replayed says whether a message of a page, which follows, is to be sent.
func (o *Owed) Replayed(seq uint64) bool {
	if seq <= o.after {
		return false
	}
	o.after = seq
	o.skip()
	if i := slices.Index(o.own, seq); i >= 0 {
		o.own = slices.Delete(o.own, i, i+1)
		return false
	}
	return true
}

// Answered reports whether all up to upTo has come, or is absent.
func (o *Owed) Answered(upTo uint64) bool { return o.after >= upTo }

// Settled says whether nothing is owed any more. Then live messages with a
// position beyond from are the next ones: all others have been sent.
func (o *Owed) Settled() (from uint64, ok bool) { return o.position, o.after >= o.upTo }
