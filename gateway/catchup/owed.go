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
}

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
func (o *Owed) Asking() { o.edited = o.edited[:0] }

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

// Replayed says whether a message of a page is to be sent.
func (o *Owed) Replayed(seq uint64) bool {
	if seq <= o.after {
		return false
	}
	o.after = seq
	if i := slices.Index(o.own, seq); i >= 0 {
		o.own = slices.Delete(o.own, i, i+1)
		return false
	}
	return true
}

// Answered says that a range asked up to upTo has come in full; what of it did
// not come does not exist any more.
func (o *Owed) Answered(upTo uint64) { o.after = max(o.after, upTo) }

// Settled says whether nothing is owed any more. Then live messages with a
// position beyond from are the next ones: all others have been sent.
func (o *Owed) Settled() (from uint64, ok bool) { return o.position, o.after >= o.upTo }
