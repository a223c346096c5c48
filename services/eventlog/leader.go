package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

const (
	leaderGet  = "$JS.API.STREAM.MSG.GET." // only the stream's leader answers
	streamInfo = "$JS.API.STREAM.INFO."    // the same
)

// codeNoMessage is JetStream's error when no entry matches. A stream that does not
// exist is another code.
const codeNoMessage = 10037

// leaderAnswer is the leader's answer to a get of one entry.
type leaderAnswer struct {
	Message struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Headers []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
	Error *apiError `json:"error"`
}

type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// entry is the answer as an entry; its Position is 0 when the leader has none.
func (a *leaderAnswer) entry() (Entry, error) {
	switch {
	case a.Error != nil && a.Error.Code == codeNoMessage:
		return Entry{}, nil
	case a.Error != nil:
		return Entry{}, fmt.Errorf("%w: %s (%d)", ErrUnavailable, a.Error.Description, a.Error.Code)
	}
	var e Entry
	if len(a.Message.Headers) > 0 {
		header, err := nats.DecodeHeadersMsg(a.Message.Headers)
		if err != nil {
			return Entry{}, fmt.Errorf("headers of entry %d: %w", a.Message.Seq, err)
		}
		e = parse(header)
	}
	e.Subject, e.Position, e.Time, e.Body = a.Message.Subject, a.Message.Seq, a.Message.Time, a.Message.Data
	return e, nil
}

// fromLeader makes gets of one entry each, all in one round trip. An entry that the leader does not
// have is zero.
func (r *Reader) fromLeader(ctx context.Context, stream string, gets [][]byte) ([]Entry, error) {
	w, done, err := r.wait(len(gets))
	if err != nil {
		return nil, err
	}
	defer done()
	for i, body := range gets {
		if err := r.publish(leaderGet+stream, w.ReplyPart(i), body); err != nil {
			return nil, err
		}
	}
	out := make([]Entry, len(gets))
	for range gets {
		m, _, err := answer(ctx, w)
		if err != nil {
			return nil, err
		}
		i, ok := w.Part(m)
		if !ok || i >= len(out) {
			continue
		}
		var a leaderAnswer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if out[i], err = a.entry(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func lastOf(subject string) []byte {
	body, _ := json.Marshal(struct { // strings and integers always encode
		Last string `json:"last_by_subj"`
	}{subject})
	return body
}

func nextOf(subject string, from uint64) []byte {
	body, _ := json.Marshal(struct {
		Seq  uint64 `json:"seq"`
		Next string `json:"next_by_subj"`
	}{from, subject})
	return body
}

// one makes one get of the leader within readTimeout.
func (r *Reader) one(ctx context.Context, stream string, get []byte) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	found, err := r.fromLeader(ctx, stream, [][]byte{get})
	if err != nil {
		return Entry{}, err
	}
	return found[0], nil
}

// Last is the newest entry of a subject: nothing that was acknowledged before the
// call is missing. Position is 0 when there is none.
func (r *Reader) Last(ctx context.Context, stream, subject string) (Entry, error) {
	e, err := r.one(ctx, stream, lastOf(subject))
	if err != nil {
		return Entry{}, fmt.Errorf("read last of %s: %w", subject, err)
	}
	return e, nil
}

// Next is the first entry of a subject (wildcards allowed) at or behind a position;
// Position is 0 when there is none.
func (r *Reader) Next(ctx context.Context, stream, subject string, from uint64) (Entry, error) {
	e, err := r.one(ctx, stream, nextOf(subject, max(from, 1)))
	if err != nil {
		return Entry{}, fmt.Errorf("read %s from %d: %w", subject, from, err)
	}
	return e, nil
}

// state is what the leader says of its stream.
type state struct {
	leader string // empty without a cluster
	epoch  string
	last   uint64
}

func (r *Reader) state(ctx context.Context, stream string) (s state, err error) {
	w, done, err := r.wait(1)
	if err != nil {
		return s, err
	}
	defer done()
	if err := r.publish(streamInfo+stream, w.Reply(), nil); err != nil {
		return s, err
	}
	m, _, err := answer(ctx, w)
	if err != nil {
		return s, err
	}
	var a struct {
		Config struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"config"`
		State struct {
			LastSeq uint64 `json:"last_seq"`
		} `json:"state"`
		Cluster struct {
			Leader string `json:"leader"`
		} `json:"cluster"`
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return s, fmt.Errorf("read answer: %w", err)
	}
	if a.Error != nil {
		return s, fmt.Errorf("%w: %s (%d)", ErrUnavailable, a.Error.Description, a.Error.Code)
	}
	return state{leader: a.Cluster.Leader, epoch: a.Config.Metadata[proto.MetadataEpoch], last: a.State.LastSeq}, nil
}

// Epoch is the log's epoch from the metadata of EVENTS, and the position of its last entry.
func (r *Reader) Epoch(ctx context.Context) (epoch string, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := r.state(ctx, proto.Events.Name)
	if err != nil {
		return "", 0, fmt.Errorf("read stream info: %w", err)
	}
	return s.epoch, s.last, nil
}

// absent repeats a read of the leader until it finds what it looks for, or until one
// leader that is at or beyond a position says that there is no such entry: then the
// stream has deleted it. try reports whether it has found everything.
func (r *Reader) absent(ctx context.Context, stream string, position uint64, try func() (found bool, err error)) error {
	for {
		before, err := r.state(ctx, stream)
		if err != nil {
			return err
		}
		if found, err := try(); found || err != nil {
			return err
		}
		after, err := r.state(ctx, stream)
		if err != nil {
			return err
		}
		if before.leader == after.leader && before.last >= position {
			return nil
		}
		if err := pause(ctx, "its leader ends at "+strconv.FormatUint(after.last, 10)); err != nil {
			return err
		}
	}
}
