package servicestest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// Replica answers the direct gets of one stream, as a replica does that is late: it has the entries
// up to a position and does not know that there are others. The leader, whom `STREAM.MSG.GET` and
// `STREAM.INFO` ask, has all of them.
type Replica struct {
	t      testing.TB
	nc     *nats.Conn
	stream string

	mu     sync.Mutex
	last   uint64
	late   bool
	asked  int // direct gets
	lacked int // of them, those that it answered with less than the leader has
}

// Replica takes over the direct gets of a stream of n, until n stops. It has everything until Hold.
func (n *NATS) Replica(stream string) *Replica {
	n.t.Helper()
	account, err := n.Server.LookupAccount("$G")
	require.NoError(n.t, err)
	// A mapped subject is not mapped again: `replica.real.` leads to the server itself.
	require.NoError(n.t, account.AddMapping(realGet(stream), "replica.late."+stream))
	require.NoError(n.t, account.AddMapping("replica.real."+stream, realGet(stream)))
	r := &Replica{t: n.t, nc: n.Connect(), stream: stream}
	_, err = r.nc.Subscribe("replica.late."+stream, r.answer)
	require.NoError(n.t, err)
	require.NoError(n.t, r.nc.Flush())
	return r
}

func realGet(stream string) string { return "$JS.API.DIRECT.GET." + stream }

// Hold lets the replica learn of nothing that is stored from now on.
func (r *Replica) Hold() {
	r.t.Helper()
	m, err := r.nc.Request("$JS.API.STREAM.INFO."+r.stream, nil, 10*time.Second)
	require.NoError(r.t, err)
	var info struct {
		State struct {
			LastSeq uint64 `json:"last_seq"`
		} `json:"state"`
	}
	require.NoError(r.t, json.Unmarshal(m.Data, &info))
	r.HoldAt(info.State.LastSeq)
}

// HoldAt is Hold at a position.
func (r *Replica) HoldAt(position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.late, r.lacked = position, true, 0
}

// Release lets the replica have everything again.
func (r *Replica) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = false
}

// Asked is how many direct gets there have been, and how many of them the replica answered with
// less than there is since it was last held.
func (r *Replica) Asked() (all, lacked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.lacked
}

// directGet is a request of NATS ADR-31.
type directGet struct {
	Seq       uint64   `json:"seq,omitempty"`
	Last      string   `json:"last_by_subj,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpTo      uint64   `json:"up_to_seq,omitempty"`
}

func (r *Replica) answer(m *nats.Msg) {
	r.mu.Lock()
	last, late := r.last, r.late
	r.asked++
	r.mu.Unlock()
	var q directGet
	if err := json.Unmarshal(m.Data, &q); err != nil {
		r.t.Errorf("direct get %q: %v", m.Data, err)
		return
	}
	if !late {
		if err := r.nc.PublishRequest("replica.real."+r.stream, m.Reply, m.Data); err != nil {
			r.t.Errorf("direct get: %v", err)
		}
		return
	}
	single := len(q.MultiLast) == 0 && q.Batch == 0
	if q.Last != "" { // asked so that the answer can be as of a position
		q.MultiLast, q.Last = []string{q.Last}, ""
	}
	if len(q.MultiLast) > 0 {
		q.UpTo = last
	}
	if last == 0 {
		r.say(m.Reply, "404 Message Not Found")
		return
	}
	entries, end := r.real(q)
	kept := entries
	for i, e := range entries {
		if at, _ := strconv.ParseUint(e.Header.Get("Nats-Sequence"), 10, 64); at > last {
			kept = entries[:i]
			break
		}
	}
	r.mu.Lock()
	if len(kept) < len(entries) || len(entries) == 0 || len(q.MultiLast) > 0 {
		r.lacked++
	}
	r.mu.Unlock()
	for _, e := range kept {
		e.Subject, e.Reply = m.Reply, ""
		if err := r.nc.PublishMsg(e); err != nil {
			r.t.Errorf("direct get: %v", err)
		}
	}
	switch {
	case len(kept) == 0:
		r.say(m.Reply, "404 Message Not Found")
	case single:
	case len(kept) < len(entries):
		r.say(m.Reply, "204 EOB\r\nNats-Num-Pending: 0")
	default:
		end.Subject, end.Reply = m.Reply, ""
		if len(q.MultiLast) == 0 {
			end.Header.Set("Nats-Num-Pending", strconv.Itoa(r.pending(q, kept[len(kept)-1], last)))
		}
		if err := r.nc.PublishMsg(end); err != nil {
			r.t.Errorf("direct get: %v", err)
		}
	}
}

// pending is whether the replica has an entry behind the last one of a page: 1, or 0.
func (r *Replica) pending(q directGet, end *nats.Msg, last uint64) int {
	at, _ := strconv.ParseUint(end.Header.Get("Nats-Sequence"), 10, 64)
	next, _ := r.real(directGet{Seq: at + 1, Next: q.Next})
	if len(next) == 0 {
		return 0
	}
	if at, _ = strconv.ParseUint(next[0].Header.Get("Nats-Sequence"), 10, 64); at > last {
		return 0
	}
	return 1
}

// real is what the server answers; end closes a batch, nil where there is none.
func (r *Replica) real(q directGet) (entries []*nats.Msg, end *nats.Msg) {
	body, err := json.Marshal(q)
	if err != nil {
		r.t.Errorf("direct get: %v", err)
		return nil, nil
	}
	inbox := r.nc.NewInbox()
	sub, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, nil // the test has ended
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := r.nc.PublishRequest("replica.real."+r.stream, inbox, body); err != nil {
		return nil, nil
	}
	for {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			return nil, nil
		}
		switch m.Header.Get("Status") {
		case "":
			entries = append(entries, m)
			if q.Batch == 0 && len(q.MultiLast) == 0 {
				return entries, nil
			}
		case "204":
			return entries, m
		default:
			return entries, nil
		}
	}
}

// say answers with a status line.
func (r *Replica) say(reply, status string) {
	header, err := nats.DecodeHeadersMsg([]byte(fmt.Sprintf("NATS/1.0 %s\r\n\r\n", status)))
	if err != nil {
		r.t.Errorf("status %q: %v", status, err)
		return
	}
	if err := r.nc.PublishMsg(&nats.Msg{Subject: reply, Header: header}); err != nil {
		r.t.Logf("direct get: %v", err) // the test has ended
	}
}
