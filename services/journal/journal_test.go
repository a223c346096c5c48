package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func start(t *testing.T) (*journal.Journal, *services.Host) {
	t.Helper()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "journal", n, nil)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Events))
	return journal.New(h.JetStream(), h.CatchUp()), h
}

func TestAppendIsConditional(t *testing.T) {
	t.Parallel()
	j, _ := start(t)
	ctx := t.Context()
	subject := proto.UserCalls("alice")
	_, ok, err := j.Last(ctx, subject)
	require.NoError(t, err)
	require.False(t, ok)

	first, repeated, err := j.Append(ctx, journal.Append{Subject: subject, Key: "one", Event: "x:y", Body: []byte("1")})
	require.NoError(t, err)
	require.False(t, repeated)
	_, _, err = j.Append(ctx, journal.Append{Subject: subject, Key: "two", Body: []byte("2")})
	require.ErrorIs(t, err, journal.ErrMoved)
	second, _, err := j.Append(ctx, journal.Append{Subject: subject, After: first, Body: []byte("2")})
	require.NoError(t, err)
	require.Greater(t, second, first)
	third, _, err := j.Append(ctx, journal.Append{Subject: subject, Anyhow: true, Key: "three", Body: []byte("3")})
	require.NoError(t, err)
	again, repeated, err := j.Append(ctx, journal.Append{Subject: subject, Anyhow: true, Key: "three", Body: []byte("3")})
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, third, again)

	last, ok, err := j.Last(ctx, subject)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, journal.Entry{Subject: subject, Position: third, Key: "three", Body: []byte("3")}, timeless(last))

	at, ok, err := j.At(ctx, first)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, journal.Entry{Subject: subject, Position: first, Event: "x:y", Key: "one", Body: []byte("1")}, timeless(at))

	page, more, err := j.Page(ctx, subject, 0)
	require.NoError(t, err)
	require.False(t, more)
	for i := range page {
		page[i] = timeless(page[i])
	}
	require.Equal(t, []journal.Entry{
		{Subject: subject, Position: first, Event: "x:y", Key: "one", Body: []byte("1")},
		{Subject: subject, Position: second, Body: []byte("2")},
		{Subject: subject, Position: third, Key: "three", Body: []byte("3")},
	}, page)
	page, _, err = j.Page(ctx, subject, third)
	require.NoError(t, err)
	require.Empty(t, page)
}

func timeless(e journal.Entry) journal.Entry { e.Time = time.Time{}; return e }

// TestOneWins: of many who build on the same entry one is stored.
func TestOneWins(t *testing.T) {
	t.Parallel()
	j, _ := start(t)
	subject := proto.UserCalls("alice")
	var after uint64
	for round := range 50 {
		var won []uint64
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				at, _, err := j.Append(t.Context(), journal.Append{Subject: subject, After: after, Body: fmt.Append(nil, round, i)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, at)
				} else if !errors.Is(err, journal.ErrMoved) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		after = won[0]
	}
}

// TestPages: pages have every entry once, in order.
func TestPages(t *testing.T) {
	t.Parallel()
	j, h := start(t)
	subject, other := proto.UserCalls("alice"), proto.UserCalls("bob")
	const n = journal.MaxPage*2 + 10
	var want []uint64
	for range n {
		ack, err := h.JetStream().Publish(t.Context(), subject, []byte("x"))
		require.NoError(t, err)
		want = append(want, ack.Sequence)
		_, err = h.JetStream().Publish(t.Context(), other, []byte("x"))
		require.NoError(t, err)
	}
	var got []uint64
	var after uint64
	for more := true; more; {
		var page []journal.Entry
		var err error
		page, more, err = j.Page(t.Context(), subject, after)
		require.NoError(t, err)
		for _, e := range page {
			got = append(got, e.Position)
			after = e.Position
		}
	}
	require.Equal(t, want, got)
	epoch, err := j.Epoch(t.Context())
	require.NoError(t, err)
	require.Len(t, epoch, 32)
}

// TestAsOfLast: what is kept counts as long as its mark is the subject's last entry, or
// one that is stored by now.
func TestAsOfLast(t *testing.T) {
	t.Parallel()
	j, h := start(t)
	subject := proto.UserCalls("alice")
	store := func() uint64 {
		ack, err := h.JetStream().Publish(t.Context(), subject, []byte("x"))
		require.NoError(t, err)
		return ack.Sequence
	}
	ask := func(read func() uint64) error {
		m, err := j.AsOfLast(t.Context(), subject, func() (journal.Mark, error) { return journal.Mark{Epoch: "e", Position: read()}, nil })
		if err == nil {
			require.Equal(t, "e", m.Epoch)
		}
		return err
	}
	require.NoError(t, ask(func() uint64 { return 0 }), "nothing is stored")
	require.ErrorIs(t, ask(func() uint64 { return 7 }), journal.ErrStale, "of another log")
	last := store()
	require.NoError(t, ask(func() uint64 { return last }))
	require.ErrorIs(t, ask(func() uint64 { return last - 1 }), journal.ErrStale, "an entry that is not known")
	require.NoError(t, ask(store), "stored meanwhile, and known")
	require.ErrorIs(t, ask(func() uint64 { return store() + 1 }), journal.ErrStale)
	broken := errors.New("no read")
	_, err := j.AsOfLast(t.Context(), subject, func() (journal.Mark, error) { return journal.Mark{}, broken })
	require.ErrorIs(t, err, broken)
}

func TestMark(t *testing.T) {
	t.Parallel()
	m := journal.Mark{Epoch: "0a", Position: 7}
	got, err := journal.ParseMark(m.String())
	require.NoError(t, err)
	require.Equal(t, m, got)
	require.Empty(t, journal.Mark{}.String())
	for _, s := range []string{"", "0a", "0a x", "0a -1"} {
		_, err := journal.ParseMark(s)
		require.Error(t, err, s)
	}
}

// TestNoLog: a log that is not there is not an empty one.
func TestNoLog(t *testing.T) {
	t.Parallel()
	j, h := start(t)
	require.NoError(t, h.JetStream().DeleteStream(t.Context(), proto.Events.Name))
	_, _, err := j.Last(t.Context(), proto.UserCalls("alice"))
	require.ErrorIs(t, err, journal.ErrUnavailable)
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	j, _ := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	_, _, err := j.Append(ctx, journal.Append{Subject: proto.UserCalls("alice")})
	require.ErrorIs(t, err, journal.ErrUnavailable)
	_, _, err = j.Last(ctx, proto.UserCalls("alice"))
	require.ErrorIs(t, err, journal.ErrUnavailable)
	_, _, err = j.Page(ctx, proto.UserCalls("alice"), 0)
	require.ErrorIs(t, err, journal.ErrUnavailable)
}
