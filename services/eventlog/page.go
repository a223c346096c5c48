package eventlog

import (
	"context"
	"fmt"

	"supmesh.dev/proto"
)

// Query asks for the entries of a subject, oldest first.
type Query struct {
	Stream, Subject string // wildcards are allowed; an empty subject is every subject
	From            uint64 // the position to begin at
	// Known is a position at which an entry of the subject is known to have been stored;
	// 0: none is known.
	Known uint64
	// ToKnown says that nothing behind Known is wanted: when the page gets there, the
	// leader is not asked whether that is the end.
	ToKnown         bool
	Limit, MaxBytes int // of a page; it may be shorter, and a little larger in bytes
}

// all is the filter for every subject; the server has a fast path for it.
const all = ">"

// Page reads the next entries of a subject. more is false when there are no further
// ones: the leader has confirmed it during the call, or the page has reached Known with ToKnown.
func (r *Reader) Page(ctx context.Context, q Query) (page []Entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if q.Subject == "" {
		q.Subject = all
	}
	if page, more, err = r.page(ctx, &q); err != nil {
		return nil, false, fmt.Errorf("read %s from %d: %w", q.Subject, q.From, err)
	}
	return page, more, nil
}

func (r *Reader) page(ctx context.Context, q *Query) (page []Entry, more bool, err error) {
	from, size := max(q.From, 1), 0
	take := func(part ...Entry) {
		for i := range part {
			from, size = part[i].Position+1, size+len(part[i].Body)
		}
		page = append(page, part...)
	}
	full := func() bool { return len(page) >= q.Limit || q.MaxBytes > 0 && size >= q.MaxBytes }
	for {
		limit := q.Limit - len(page)
		part, end, err := r.batch(ctx, q.Stream, getRequest{Seq: from, Next: q.Subject, Batch: limit, MaxBytes: q.MaxBytes - size}, limit)
		if err != nil {
			return nil, false, err
		}
		take(part...)
		switch {
		case q.ToKnown && q.Known > 0 && from > q.Known:
			return page, false, nil
		case end != nil && first(end, proto.HeaderPending) != "0":
			return page, true, nil
		}
		// The replica ends here. Whether the log does, only the leader knows.
		next, err := r.behind(ctx, q, from)
		switch {
		case err != nil:
			return nil, false, err
		case next.Position == 0:
			return page, false, nil
		case full():
			return page, true, nil
		}
		count(r.reread, 1)
		if take(next); full() {
			return page, true, nil
		}
	}
}

// behind is the leader's first entry of the subject from a position on; zero when
// there is none.
func (r *Reader) behind(ctx context.Context, q *Query, from uint64) (e Entry, err error) {
	try := func() (bool, error) {
		found, err := r.fromLeader(ctx, q.Stream, [][]byte{nextOf(q.Subject, from)})
		if err != nil {
			return false, err
		}
		e = found[0]
		return e.Position != 0, nil
	}
	if found, err := try(); found || err != nil || from > q.Known {
		return e, err
	}
	if err := r.absent(ctx, q.Stream, q.Known, try); err != nil {
		return Entry{}, err
	}
	if e.Position == 0 {
		count(r.gone, 1)
	}
	return e, nil
}
