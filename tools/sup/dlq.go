package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

// dlqCmd groups what is done with jobs that could not be done.
type dlqCmd struct {
	List   dlqList   `cmd:"" help:"Show dead letters, oldest first, with why they are."`
	Replay dlqReplay `cmd:"" help:"Put dead letters back into their queues, to be tried anew."`
	Drop   dlqDrop   `cmd:"" help:"Remove dead letters."`
}

// letters says which dead letters are meant.
type letters struct {
	bus
	Queue  string   `name:"queue" help:"Those of this queue, such as notify-push."`
	Reason string   `name:"reason" help:"Those with this text in their reason."`
	Seqs   []uint64 `arg:"" optional:"" name:"seq" help:"These alone, by SEQ of the list."`
}

type dlqList struct {
	letters
	Limit  int  `name:"limit" default:"100" help:"Show at most so many; 0 for all."`
	Bodies bool `name:"bodies" help:"Show the jobs themselves: they hold what users are told."`
	JSON   bool `name:"json" help:"Print an object a line, with the body."`
}

// chosen is letters for a command that changes something: all of them have to be asked for.
type chosen struct {
	letters
	All bool `name:"all" help:"Of every queue."`
}

type (
	dlqReplay struct{ chosen }
	dlqDrop   struct{ chosen }
)

// letter is one dead letter.
type letter struct {
	Seq    uint64          `json:"seq"`
	Queue  string          `json:"queue"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason"`
	Body   json.RawMessage `json:"body"`

	queue proto.Queue
	data  []byte
}

// Run prints what lies dead.
func (c *dlqList) Run(ctx context.Context) error {
	return c.with(ctx, func(s jetstream.Stream, _ jetstream.JetStream) error { return c.show(ctx, os.Stdout, s, time.Now()) })
}

// Run puts letters back. Each is tried as if it were new; one that was put back and
// could not be removed from here is put back once, if that is asked again soon.
func (c *dlqReplay) Run(ctx context.Context) error {
	return c.with(ctx, func(s jetstream.Stream, js jetstream.JetStream) error {
		return c.each(ctx, os.Stdout, s, "put back", func(l letter) error { return replay(ctx, js, l) })
	})
}

// Run removes letters.
func (c *dlqDrop) Run(ctx context.Context) error {
	return c.with(ctx, func(s jetstream.Stream, _ jetstream.JetStream) error {
		return c.each(ctx, os.Stdout, s, "dropped", func(letter) error { return nil })
	})
}

// with is the stream of the letters, for as long as fn runs.
func (l *letters) with(ctx context.Context, fn func(jetstream.Stream, jetstream.JetStream) error) error {
	conn, err := l.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	s, err := js.Stream(ctx, proto.Work.Name)
	if err != nil {
		return fmt.Errorf("stream %s: %w", proto.Work.Name, err)
	}
	return fn(s, js)
}

// queues is those that are meant.
func (l *letters) queues() ([]proto.Queue, error) {
	if l.Queue == "" {
		return proto.Queues, nil
	}
	i := slices.IndexFunc(proto.Queues, func(q proto.Queue) bool { return q.Name == l.Queue })
	if i < 0 {
		var names []string
		for _, q := range proto.Queues {
			names = append(names, q.Name)
		}
		return nil, fmt.Errorf("no queue %q; there are %s", l.Queue, strings.Join(names, ", "))
	}
	return proto.Queues[i : i+1], nil
}

// walk gives the letters that are there now to fn, by queue and oldest first; what
// dies meanwhile is for the next time. fn ends it by false.
func (l *letters) walk(ctx context.Context, s jetstream.Stream, fn func(letter) (bool, error)) error {
	queues, err := l.queues()
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", proto.Work.Name, err)
	}
	for _, q := range queues {
		for seq := uint64(1); seq <= info.State.LastSeq; {
			m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(q.Dead))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			} else if err != nil {
				return fmt.Errorf("read %s: %w", q.Dead, err)
			}
			seq = m.Sequence + 1
			if m.Sequence > info.State.LastSeq {
				break
			}
			one := letter{Seq: m.Sequence, Queue: q.Name, At: m.Time.UTC(), Reason: m.Header.Get(proto.HeaderDeadReason), queue: q, data: m.Data}
			if !l.means(one) {
				continue
			}
			if more, err := fn(one); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

func (l *letters) means(one letter) bool {
	return (len(l.Seqs) == 0 || slices.Contains(l.Seqs, one.Seq)) && strings.Contains(one.Reason, l.Reason)
}

func (c *dlqList) show(ctx context.Context, out io.Writer, s jetstream.Stream, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n, counts := 0, map[string]int{}
	err := c.walk(ctx, s, func(l letter) (bool, error) {
		n++
		counts[l.Queue]++
		if c.Limit > 0 && n > c.Limit {
			return true, nil // counted all the same
		}
		return true, c.line(w, out, l, n, now)
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil || c.JSON {
		return err
	}
	for _, q := range proto.Queues {
		if counts[q.Name] > 0 {
			_, _ = fmt.Fprintf(out, "%s: %d\n", q.Name, counts[q.Name])
		}
	}
	if n == 0 {
		_, err = fmt.Fprintln(out, "no dead letters")
	} else if c.Limit > 0 && n > c.Limit {
		_, err = fmt.Fprintf(out, "%d of %d shown\n", c.Limit, n)
	}
	return err
}

func (c *dlqList) line(w, out io.Writer, l letter, n int, now time.Time) error {
	if c.JSON {
		if l.Body = l.data; !json.Valid(l.data) {
			l.Body = json.RawMessage(strconv.Quote(strings.ToValidUTF8(string(l.data), "?")))
			if !json.Valid(l.Body) {
				l.Body = nil
			}
		}
		if err := json.NewEncoder(out).Encode(l); err != nil {
			return fmt.Errorf("letter %d: %w", l.Seq, err)
		}
		return nil
	}
	if n == 1 {
		_, _ = fmt.Fprintln(w, "SEQ\tQUEUE\tSINCE\tBYTES\tREASON")
	}
	_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", l.Seq, l.Queue, moment(proto.At(l.At), now), len(l.data), orNone(l.Reason, "-"))
	if err == nil && c.Bodies {
		_, err = fmt.Fprintf(w, "\t\t\t\t%s\n", strings.ReplaceAll(string(l.data), "\n", " "))
	}
	return err
}

// each does something to the chosen letters and removes them.
func (c *chosen) each(ctx context.Context, out io.Writer, s jetstream.Stream, done string, fn func(letter) error) error {
	if c.Queue == "" && len(c.Seqs) == 0 && !c.All {
		return errors.New("which? Give --queue, some SEQ of `sup dlq list`, or --all")
	}
	n := 0
	err := c.walk(ctx, s, func(l letter) (bool, error) {
		if err := fn(l); err != nil {
			return false, err
		}
		if err := s.DeleteMsg(ctx, l.Seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, fmt.Errorf("remove letter %d: %w", l.Seq, err)
		}
		n++
		return true, nil
	})
	_, _ = fmt.Fprintf(out, "%d %s\n", n, done)
	return err
}

func replay(ctx context.Context, js jetstream.JetStream, l letter) error {
	// Nothing of its history goes with it: its tries are counted anew.
	msg := &nats.Msg{Subject: l.queue.Subject, Data: l.data, Header: nats.Header{}}
	if _, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID("replay:"+strconv.FormatUint(l.Seq, 10))); err != nil {
		return fmt.Errorf("put back letter %d: %w", l.Seq, err)
	}
	return nil
}
