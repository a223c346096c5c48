package eventlog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

// patience is longer than a busy machine takes for anything here.
const patience = 30 * time.Second

type world struct {
	t    *testing.T
	ctx  context.Context
	nats *servicestest.NATS
	host *services.Host
	log  *eventlog.Reader
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nats: servicestest.RunNATS(t)}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	w.host = servicestest.NewHost(t, "reader", w.nats, nil)
	require.NoError(t, w.host.EnsureStreams(w.ctx, true, proto.Streams...))
	w.log = w.host.CatchUp()
	return w
}

// store stores an entry and gives its position.
func (w *world) store(subject string, body string) uint64 {
	w.t.Helper()
	ack, err := w.host.JetStream().PublishMsg(w.ctx, &nats.Msg{Subject: subject, Data: []byte(body)})
	require.NoError(w.t, err)
	return ack.Sequence
}

func (w *world) remove(position uint64) {
	w.t.Helper()
	s, err := w.host.JetStream().Stream(w.ctx, proto.Events.Name)
	require.NoError(w.t, err)
	require.NoError(w.t, s.DeleteMsg(w.ctx, position))
}

// late holds the replica where it is now, and stores behind that.
func (w *world) late() *servicestest.Replica {
	w.t.Helper()
	r := w.nats.Replica(proto.Events.Name)
	r.Hold()
	return r
}

func positions(entries []eventlog.Entry) (out []uint64) {
	for _, e := range entries {
		out = append(out, e.Position)
	}
	return out
}

func (w *world) page(q eventlog.Query) (entries []eventlog.Entry, more bool) {
	w.t.Helper()
	if q.Stream = proto.Events.Name; q.Limit == 0 {
		q.Limit = 100
	}
	entries, more, err := w.log.Page(w.ctx, q)
	require.NoError(w.t, err)
	return entries, more
}

func TestReads(t *testing.T) {
	t.Parallel()
	w := open(t)
	last := map[string]uint64{}
	const chats, each = 3, 10
	for i := range chats * each {
		subject := fmt.Sprintf("ev.chat.c%d.msg", i%chats)
		last[subject] = w.store(subject, fmt.Sprint(i))
	}
	page, more := w.page(eventlog.Query{Subject: "ev.chat.c1.msg", From: 1, Limit: 4})
	require.True(t, more)
	require.Equal(t, []uint64{2, 5, 8, 11}, positions(page))
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c1.msg", From: 12})
	require.False(t, more)
	require.Len(t, page, each-4)
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c1.msg", From: 1000})
	require.False(t, more)
	require.Empty(t, page)
	page, more = w.page(eventlog.Query{From: 5, Limit: 3})
	require.True(t, more)
	require.Equal(t, []uint64{5, 6, 7}, positions(page))

	newest, upTo, err := w.log.LastOfEach(w.ctx, []string{"ev.chat.c0.msg", "ev.chat.c2.msg", "ev.chat.none.msg"}, 0)
	require.NoError(t, err)
	require.Len(t, newest, 2)
	for _, e := range newest {
		require.Equal(t, last[e.Subject], e.Position)
	}
	require.EqualValues(t, chats*each, upTo)
	newest, upTo, err = w.log.LastOfEach(w.ctx, []string{"ev.chat.none.msg"}, 0)
	require.NoError(t, err)
	require.Empty(t, newest)
	require.EqualValues(t, chats*each, upTo, "that there is none is as of a position too")
	none, err := w.log.Last(w.ctx, proto.Events.Name, "ev.chat.none.msg")
	require.NoError(t, err)
	require.Zero(t, none.Position)
	entries, err := w.log.Get(w.ctx, []uint64{5, 1, 5})
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 1, 5}, positions(entries))
	e, err := w.log.Next(w.ctx, proto.Events.Name, "ev.chat.c1.*", 6)
	require.NoError(t, err)
	require.EqualValues(t, 8, e.Position)
	epoch, head, err := w.log.Epoch(w.ctx)
	require.NoError(t, err)
	require.Len(t, epoch, 32)
	require.EqualValues(t, chats*each, head)
}

// TestWholeAnswersCostOneRoundTrip: while replicas are current the leader is asked for nothing that
// was known before.
func TestWholeAnswersCostOneRoundTrip(t *testing.T) {
	t.Parallel()
	w := open(t)
	r := w.nats.Replica(proto.Events.Name)
	for range 10 {
		w.store("ev.chat.c.msg", "x")
	}
	leader, err := w.nats.Connect().SubscribeSync("$JS.API.STREAM.>")
	require.NoError(t, err)
	marker := w.nats.Connect()
	_, err = w.log.Get(w.ctx, []uint64{1, 2, 3})
	require.NoError(t, err)
	page, more := w.page(eventlog.Query{Subject: "ev.chat.c.msg", Known: 10, ToKnown: true})
	require.False(t, more)
	require.Len(t, page, 10)
	_, _, err = w.log.LastOfEach(w.ctx, []string{"ev.chat.c.msg"}, 10)
	require.NoError(t, err)
	_, err = w.log.LastOfChat(w.ctx, "c", 10)
	require.NoError(t, err)
	asked, _ := r.Asked()
	require.Equal(t, 6, asked)
	require.NoError(t, marker.Publish("$JS.API.STREAM.marker", nil))
	m, err := leader.NextMsgWithContext(w.ctx)
	require.NoError(t, err)
	require.Equal(t, "$JS.API.STREAM.marker", m.Subject, "nothing was asked of the leader before")
}

func TestLateReplicaGet(t *testing.T) {
	t.Parallel()
	w := open(t)
	for range 3 {
		w.store("ev.chat.c.msg", "x")
	}
	r := w.late()
	for range 3 {
		w.store("ev.chat.c.msg", "y")
	}
	w.remove(2)
	w.remove(5)
	entries, err := w.log.Get(w.ctx, []uint64{1, 2, 4, 5, 6})
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 0, 4, 0, 6}, positions(entries), "only what the leader has deleted is absent")
	require.Equal(t, "y", string(entries[2].Body))
	e, ok, err := w.log.At(w.ctx, 6)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 6, e.Position)
	_, ok, err = w.log.At(w.ctx, 5)
	require.NoError(t, err)
	require.False(t, ok)
	_, lacked := r.Asked()
	require.NotZero(t, lacked)
}

// TestBeyondTheLeader: a position that the leader has not reached is no absence.
func TestBeyondTheLeader(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.store("ev.chat.c.msg", "x")
	_, err := w.log.Get(w.ctx, []uint64{1, 2})
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, _, err = w.log.Page(w.ctx, eventlog.Query{Stream: proto.Events.Name, Subject: "ev.chat.c.msg", From: 1, Known: 2, Limit: 10})
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

func TestLateReplicaPage(t *testing.T) {
	t.Parallel()
	w := open(t)
	for range 3 {
		w.store("ev.chat.c.msg", "x")
	}
	w.late()
	page, more := w.page(eventlog.Query{Subject: "ev.chat.c.msg"})
	require.False(t, more)
	require.Len(t, page, 3)
	for range 4 {
		w.store("ev.chat.c.msg", "y")
	}
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c.msg"})
	require.False(t, more)
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7}, positions(page))
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c.msg", From: 2, Limit: 3})
	require.True(t, more)
	require.Equal(t, []uint64{2, 3, 4}, positions(page))
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c.msg", From: 2, Limit: 2})
	require.True(t, more, "all that the replica has, and no more than was asked for")
	require.Equal(t, []uint64{2, 3}, positions(page))
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c.msg", From: 5, Known: 6, ToKnown: true})
	require.False(t, more)
	require.Equal(t, []uint64{5, 6}, positions(page))
	w.remove(7)
	page, more = w.page(eventlog.Query{Subject: "ev.chat.c.msg", From: 6, Known: 7})
	require.False(t, more)
	require.Equal(t, []uint64{6}, positions(page), "the leader says that 7 is deleted")
}

func TestLateReplicaLasts(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.store("ev.chat.c.msg", "x")
	w.store("ev.chat.d.msg", "x")
	w.late()
	w.store("ev.chat.c.msg", "y")
	w.store("ev.chat.new.msg", "y")
	w.store("ev.chat.c.edit", "y")
	subjects := []string{"ev.chat.c.msg", "ev.chat.d.msg", "ev.chat.new.msg", "ev.chat.none.msg"}
	newest, upTo, err := w.log.LastOfEach(w.ctx, subjects, 0)
	require.NoError(t, err)
	require.ElementsMatch(t, []uint64{3, 2, 4}, positions(newest))
	require.EqualValues(t, 5, upTo)
	newest, _, err = w.log.LastOfEach(w.ctx, []string{"ev.chat.new.msg"}, 4)
	require.NoError(t, err)
	require.Equal(t, []uint64{4}, positions(newest), "a replica that has none does not say how far it is")
	newest, upTo, err = w.log.LastOfEach(w.ctx, subjects, 2)
	require.NoError(t, err)
	require.ElementsMatch(t, []uint64{1, 2}, positions(newest), "as old as the caller allows")
	require.EqualValues(t, 2, upTo)

	newest, err = w.log.LastOfChat(w.ctx, "c", 5)
	require.NoError(t, err)
	require.Subset(t, positions(newest), []uint64{3, 5})
	newest, err = w.log.LastOfChat(w.ctx, "c", 0)
	require.NoError(t, err)
	require.Equal(t, []uint64{1}, positions(newest), "an append finds out")
	e, err := w.log.Last(w.ctx, proto.Events.Name, "ev.chat.c.msg")
	require.NoError(t, err)
	require.EqualValues(t, 3, e.Position)
}

// TestNoLeader: what cannot be asked of the leader is an error, not an absence.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.store("ev.chat.c.msg", "x")
	account, err := w.nats.Server.LookupAccount("$G")
	require.NoError(t, err)
	w.late().HoldAt(0)
	require.NoError(t, account.AddMapping("$JS.API.STREAM.MSG.GET."+proto.Events.Name, "nobody"))
	_, err = w.log.Get(w.ctx, []uint64{1})
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, _, err = w.log.Page(w.ctx, eventlog.Query{Stream: proto.Events.Name, Subject: "ev.chat.c.msg", From: 1, Limit: 10})
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, _, err = w.log.LastOfEach(w.ctx, []string{"ev.chat.c.msg"}, 0)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

func TestAnotherStreamIsNoAbsence(t *testing.T) {
	t.Parallel()
	w := open(t)
	require.NoError(t, w.host.JetStream().DeleteStream(w.ctx, proto.Events.Name))
	_, err := w.log.Last(w.ctx, proto.Events.Name, "ev.chat.c.msg")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, err = w.host.JetStream().CreateStream(w.ctx, jetstream.StreamConfig{Name: proto.Events.Name, Subjects: []string{"ev.>"}, AllowDirect: true})
	require.NoError(t, err)
	e, err := w.log.Last(w.ctx, proto.Events.Name, "ev.chat.c.msg")
	require.NoError(t, err)
	require.Zero(t, e.Position)
}
