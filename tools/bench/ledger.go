package bench

import "math/bits"

// ledger is what one connection saw of its chat's dense seqs, by delivery or
// by the acks of its own messages. Seqs start above base.
type ledger struct {
	base  uint64
	last  uint64 // highest delivered so far: deliveries must rise
	top   uint64 // highest seen, acks included
	seen  []uint64
	count uint64

	repeated, disordered uint64
}

// delivered records a delivery, own the seq in an ack.
func (l *ledger) delivered(seq uint64) {
	if seq <= l.last {
		l.disordered++
	}
	l.last = max(l.last, seq)
	l.mark(seq)
}

func (l *ledger) own(seq uint64) { l.mark(seq) }

// maxLedger bounds the bitmap: 16 M messages in one chat are 2 MiB a member.
const maxLedger = 1 << 24

func (l *ledger) mark(seq uint64) {
	if seq <= l.base || seq-l.base > maxLedger {
		l.repeated++
		return
	}
	at := seq - l.base - 1
	for uint64(len(l.seen)) <= at/64 {
		l.seen = append(l.seen, 0)
	}
	if bit := uint64(1) << (at % 64); l.seen[at/64]&bit == 0 {
		l.seen[at/64] |= bit
		l.count++
	} else {
		l.repeated++
	}
	l.top = max(l.top, seq)
}

// missing is how many seqs up to top (the chat's highest, whoever saw it) this
// connection did not see.
func (l *ledger) missing(top uint64) uint64 {
	if top <= l.base {
		return 0
	}
	have := uint64(0)
	for i, word := range l.seen {
		if rest := top - l.base - min(uint64(i)*64, top-l.base); rest < 64 {
			word &= 1<<rest - 1
		}
		have += uint64(bits.OnesCount64(word))
	}
	return top - l.base - have
}
