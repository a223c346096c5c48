package services_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

var followed = services.Follow{
	Name: "test-follow", Stream: proto.Events, Subjects: []string{"ev.chat.*.msg", "ev.user.*.ring"},
	Key: func(subject string) string { return subject }, Workers: 8, MaxPending: 64, Purpose: "a test",
}

// seen is what followers were handed, of each subject in its order.
type seen struct {
	mu     sync.Mutex
	of     map[string][]string
	total  int
	answer func(e services.Followed) error
}

func (s *seen) handle(_ context.Context, e services.Followed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(e); err != nil {
			return err
		}
	}
	if s.of == nil {
		s.of = map[string][]string{}
	}
	s.of[e.Subject] = append(s.of[e.Subject], string(e.Body))
	s.total++
	return nil
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// inOrder says that each subject was handed 0 … n-1 in order. With repeats, the
// first times are in order.
func (s *seen) inOrder(t *testing.T, subjects, n int, repeats bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.of, subjects)
	for subject, got := range s.of {
		next := 0
		for _, body := range got {
			if body == fmt.Sprint(next) {
				next++
				continue
			}
			require.True(t, repeats, "%s: %v", subject, got)
			var k int
			_, err := fmt.Sscan(body, &k)
			require.NoError(t, err)
			require.Less(t, k, next, "%s was handed %d before %d", subject, k, next)
		}
		require.Equal(t, n, next, "%s: %v", subject, got)
	}
}

func chatSubject(k int) string {
	return proto.ChatLog(proto.Token(fmt.Sprintf("c%d", k)), proto.KindMessage)
}

func store(t *testing.T, h *services.Host, subject, body string) {
	t.Helper()
	_, err := h.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{proto.HeaderEvent: {"e"}}})
	require.NoError(t, err)
}

// following is a host with a running follower, which has made its consumer.
func following(t *testing.T, n *servicestest.NATS, f services.Follow, s *seen) (*services.Host, func() error) {
	t.Helper()
	h := servicestest.NewHost(t, "test", n, nil)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Events))
	stop := servicestest.Run(t, h, servicestest.Service{})
	h.Follow(f, s.handle)
	made(t, h, f.Name)
	return h, stop
}

func made(t *testing.T, h *services.Host, name string) {
	t.Helper()
	servicestest.Eventually(t, 10*time.Second, "the consumer is made", func() bool {
		_, err := h.JetStream().Consumer(t.Context(), proto.Events.Name, name)
		return err == nil
	})
}

func floor(t *testing.T, h *services.Host, name string) (floor uint64, pending int) {
	t.Helper()
	c, err := h.JetStream().Consumer(t.Context(), proto.Events.Name, name)
	require.NoError(t, err)
	return c.CachedInfo().AckFloor.Stream, c.CachedInfo().NumAckPending
}

func TestFollowKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	other := servicestest.NewHost(t, "other", n, nil)
	require.NoError(t, other.EnsureStreams(t.Context(), true, proto.Events))
	store(t, other, chatSubject(0), "before there was a follower")
	var failed atomic.Int64
	s := &seen{answer: func(e services.Followed) error {
		switch {
		case string(e.Body) == "garbage":
			return fmt.Errorf("%w: garbage", services.ErrMalformed)
		case string(e.Body) == "3" && failed.Add(1) <= 10:
			return errors.New("not yet")
		case string(e.Body) == "5" && failed.Add(1) == 11:
			panic("now")
		}
		return nil
	}}
	h, _ := following(t, n, followed, s)
	for k := range 20 {
		for c := range 10 {
			store(t, h, chatSubject(c), fmt.Sprint(k))
		}
	}
	store(t, h, chatSubject(3), "garbage")
	store(t, h, proto.ChatLog("c1", proto.KindReaction), "not asked for")
	servicestest.Eventually(t, 20*time.Second, "all are handled", func() bool { return s.count() == 200 })
	s.inOrder(t, 10, 20, false)
	servicestest.Eventually(t, 5*time.Second, "all are acked", func() bool {
		at, pending := floor(t, h, followed.Name)
		return at >= 202 && pending == 0
	})
}

func TestFollowWaitsUntilEntriesAreOldEnough(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	f := followed
	f.Delay = 400 * time.Millisecond
	s := &seen{answer: func(e services.Followed) error {
		if age := time.Since(e.Stored); age < f.Delay {
			return fmt.Errorf("%w: only %s old", services.ErrMalformed, age)
		}
		return nil
	}}
	h, _ := following(t, n, f, s)
	for k := range 200 { // more than are held at once
		store(t, h, chatSubject(k%5), fmt.Sprint(k/5))
	}
	servicestest.Eventually(t, 20*time.Second, "all are handled", func() bool { return s.count() == 200 })
	s.inOrder(t, 5, 40, false)
}

// Instances come and go under load: one at a time follows, and what one leaves
// the next one does, in order.
func TestFollowIsHandedOn(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	s := &seen{answer: func(services.Followed) error { time.Sleep(200 * time.Microsecond); return nil }} //nolint:forbidigo // a handler that takes time
	_, stop := following(t, n, followed, s)
	writer := servicestest.NewHost(t, "writer", n, nil)
	_, stopNext := following(t, n, followed, s)
	const chats, each = 20, 60
	for k := range each {
		for c := range chats {
			store(t, writer, chatSubject(c), fmt.Sprint(k))
		}
		switch k {
		case 15:
			require.NoError(t, stop())
		case 30: // nobody is there for a while
			require.NoError(t, stopNext())
		case 45:
			_, stop = following(t, n, followed, s)
		}
	}
	servicestest.Eventually(t, 30*time.Second, "all are handled", func() bool { return s.count() >= chats*each })
	require.NoError(t, stop())
	s.inOrder(t, chats, each, true)
	require.Less(t, s.count(), chats*each+chats*each/2, "few are repeated")
}

// An instance dies in the middle of its entries: whoever is left, or comes, does
// them before those after them.
func TestFollowOutlivesADeath(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	var dead atomic.Bool
	first := &seen{answer: func(e services.Followed) error {
		if string(e.Body) == "1" {
			dead.Store(true)
			return errors.New("does not come through")
		}
		return nil
	}}
	f := followed
	f.Workers = 16
	victim, _ := following(t, n, f, first)
	for c := range 10 {
		for k := range 3 {
			store(t, victim, chatSubject(c), fmt.Sprint(k))
		}
	}
	servicestest.Eventually(t, 10*time.Second, "it is in the middle", func() bool { return dead.Load() && first.count() == 10 })
	victim.NATS().Close() // it yields nothing

	s := &seen{of: map[string][]string{}}
	first.mu.Lock()
	defer first.mu.Unlock() // it gets no further
	for subject, got := range first.of {
		s.of[subject] = append([]string(nil), got...)
	}
	h, _ := following(t, n, f, s)
	for c := range 10 {
		store(t, h, chatSubject(c), "3")
	}
	servicestest.Eventually(t, 40*time.Second, "the rest is handled", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, got := range s.of {
			if got[len(got)-1] != "3" {
				return false
			}
		}
		return len(s.of) == 10
	})
	s.inOrder(t, 10, 4, true)
}

func TestFollowOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	s := &seen{}
	h, _ := following(t, n, followed, s)
	for k := range 20 {
		store(t, h, chatSubject(k%2), fmt.Sprint(k/2))
	}
	servicestest.Eventually(t, 10*time.Second, "some are handled", func() bool { return s.count() > 0 })
	n.Stop()
	n.Start()
	for k := 20; k < 60; k++ {
		servicestest.Eventually(t, 20*time.Second, "it is stored", func() bool {
			_, err := h.JetStream().Publish(t.Context(), chatSubject(k%2), []byte(fmt.Sprint(k/2)), jetstream.WithMsgID(fmt.Sprint(k)))
			return err == nil
		})
	}
	servicestest.Eventually(t, 40*time.Second, "all are handled", func() bool { return s.count() >= 60 })
	s.inOrder(t, 2, 30, true)
}

// Another log begins at its end: none of it is taken for what came since.
func TestFollowOfAnotherLog(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	s := &seen{}
	h, stop := following(t, n, followed, s)
	store(t, h, chatSubject(0), "0")
	servicestest.Eventually(t, 10*time.Second, "it is handled", func() bool { return s.count() == 1 })
	require.NoError(t, stop())
	other := servicestest.NewHost(t, "other", n, nil)
	js := other.JetStream()
	stream, err := js.Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Metadata[proto.MetadataEpoch] = strings.Repeat("e", 32)
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	store(t, other, chatSubject(0), "not since")
	h, _ = following(t, n, followed, s)
	servicestest.Eventually(t, 10*time.Second, "the consumer is of the other log", func() bool {
		c, err := js.Consumer(t.Context(), proto.Events.Name, followed.Name)
		return err == nil && c.CachedInfo().Config.Metadata[proto.MetadataEpoch] == cfg.Metadata[proto.MetadataEpoch]
	})
	store(t, h, chatSubject(0), "1")
	servicestest.Eventually(t, 10*time.Second, "it is handled", func() bool { return s.count() == 2 })
	s.inOrder(t, 1, 2, false)
}
