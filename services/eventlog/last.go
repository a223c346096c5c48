package eventlog

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

const (
	// multiLastMax keeps under the 1,024 answers that one request may give.
	multiLastMax = 500
	// multiLastBytes bounds the names of one request: half of the smallest max_payload
	// (services.MinPayload).
	multiLastBytes = 128 << 10
	// leaderMax is how many gets of the leader are under way at once for one call.
	leaderMax = 100
	// lateTries is how often replicas are asked before the leader is asked for each subject.
	lateTries = 2
	// changedMax is how many patterns one request names, so that a user of eight kinds each keeps
	// under the 1,024 answers that one request may give.
	changedMax = 120
	// maxKinds is more than a chat has subjects.
	maxKinds = 16
)

// LastOfEach gives the newest entry of each subject of EVENTS that has one, in no promised
// order. No entry at or before the position asOf is missed; with asOf 0, none that was
// acknowledged before the call. upTo is a position up to which the answer is current.
func (r *Reader) LastOfEach(ctx context.Context, subjects []string, asOf uint64) (newest []Entry, upTo uint64, err error) {
	if len(subjects) == 0 {
		return nil, asOf, nil
	}
	if asOf == 0 {
		if asOf, err = r.Head(ctx); err != nil {
			return nil, 0, err
		}
	}
	for len(subjects) > 0 {
		n := multiLast(subjects)
		found, at, err := r.lastOfEach(ctx, subjects[:n], asOf)
		if err != nil {
			return nil, 0, fmt.Errorf("read last of %d subjects: %w", n, err)
		}
		subjects = subjects[n:]
		if newest = append(newest, found...); upTo == 0 || at < upTo {
			upTo = at
		}
	}
	return newest, upTo, nil
}

// multiLast returns how many of subjects one request may name.
func multiLast(subjects []string) int {
	size := 0
	for n, subject := range subjects {
		if size += len(subject) + len(`"",`); n == multiLastMax || n > 0 && size > multiLastBytes {
			return n
		}
	}
	return len(subjects)
}

func (r *Reader) lastOfEach(ctx context.Context, subjects []string, asOf uint64) (newest []Entry, upTo uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for tries := 1; ; tries++ {
		newest, upTo, err = r.lasts(ctx, subjects, len(subjects))
		if err != nil || upTo >= asOf {
			return newest, upTo, err
		}
		if tries == lateTries {
			break
		}
		if err := pause(ctx, "a replica is behind"); err != nil {
			return nil, 0, err
		}
	}
	newest, err = r.leaderLasts(ctx, subjects)
	return newest, asOf, err
}

// lasts is what one replica has as the newest entry of subjects, and up to which
// position the replica is current. It is 0 when the replica has none, and so does not say, and
// when the answer is not whole.
func (r *Reader) lasts(ctx context.Context, subjects []string, limit int) ([]Entry, uint64, error) {
	newest, end, err := r.batch(ctx, proto.Events.Name, getRequest{MultiLast: subjects}, limit)
	return newest, currentTo(end), err
}

func currentTo(end nats.Header) uint64 {
	if first(end, proto.HeaderPending) != "0" { // cut, since it grew too large
		return 0
	}
	n, _ := strconv.ParseUint(first(end, "Nats-UpTo-Sequence"), 10, 64)
	return n
}

// Changed gives the newest entry of each subject of EVENTS that matches one of patterns and has an
// entry behind the position after, in no promised order. last is an entry of EVENTS behind after:
// the answers are current at least to its position.
func (r *Reader) Changed(ctx context.Context, patterns []string, after uint64, last *Entry) (changed []Entry, err error) {
	for part := range slices.Chunk(patterns, changedMax) {
		found, err := r.changed(ctx, part, after, last)
		if err != nil {
			return nil, fmt.Errorf("read what has changed of %d subjects: %w", len(part), err)
		}
		changed = append(changed, found...)
	}
	return changed, nil
}

func (r *Reader) changed(ctx context.Context, patterns []string, after uint64, last *Entry) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// With a subject that has an entry there: a replica that finds nothing does not say how
	// current it is.
	q := getRequest{Seq: after + 1, MultiLast: append(slices.Clone(patterns), last.Subject)}
	for {
		found, end, err := r.batch(ctx, proto.Events.Name, q, changedMax*maxKinds)
		if err != nil || currentTo(end) >= last.Position {
			return found, err
		}
		count(r.reread, 1)
		if err := pause(ctx, "a replica is behind"); err != nil {
			return nil, err
		}
	}
}

// leaderLasts is the leader's newest entry of each subject that has one.
func (r *Reader) leaderLasts(ctx context.Context, subjects []string) (newest []Entry, err error) {
	count(r.reread, len(subjects))
	for part := range slices.Chunk(subjects, leaderMax) {
		gets := make([][]byte, len(part))
		for i, subject := range part {
			gets[i] = lastOf(subject)
		}
		found, err := r.fromLeader(ctx, proto.Events.Name, gets)
		if err != nil {
			return nil, err
		}
		newest = append(newest, slices.DeleteFunc(found, func(e Entry) bool { return e.Position == 0 })...)
	}
	return newest, nil
}

// kindsOfChat are the kinds that a chat's log has.
var kindsOfChat = []proto.Kind{proto.KindMessage, proto.KindMeta, proto.KindReaction, proto.KindEdit}

// LastOfChat gives the newest entry of each kind that a chat has, at least as of a
// position that is known. With 0 it is whatever a replica has, for a caller
// whose append finds out when that was not all.
func (r *Reader) LastOfChat(ctx context.Context, chat proto.Token, asOf uint64) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	newest, upTo, err := r.lasts(ctx, []string{proto.ChatLogAll(chat)}, maxKinds)
	if err == nil && upTo < asOf {
		// The pattern finds the chat's last entry, of whatever kind that is.
		subjects := []string{proto.ChatLogAll(chat)}
		for _, kind := range kindsOfChat {
			subjects = append(subjects, proto.ChatLog(chat, kind))
		}
		newest, err = r.leaderLasts(ctx, subjects)
	}
	if err != nil {
		return nil, fmt.Errorf("read last of chat %s: %w", chat, err)
	}
	return newest, nil
}
