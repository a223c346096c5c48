package services_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

var queue = proto.Queue{
	Name: "test-do", Subject: "work.test.do", Dead: "dead.test.do",
	Timeout: 2 * time.Second, MaxDeliver: 2, MaxPending: 16, Purpose: "a test",
}

// jobs is what a worker was given, and what it answers to it.
type jobs struct {
	mu     sync.Mutex
	seen   map[string][]time.Time
	answer func(body string, tries int) error
}

func (j *jobs) do(_ context.Context, body []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen == nil {
		j.seen = map[string][]time.Time{}
	}
	j.seen[string(body)] = append(j.seen[string(body)], time.Now())
	if j.answer == nil {
		return nil
	}
	return j.answer(string(body), len(j.seen[string(body)]))
}

func (j *jobs) tries(body string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.seen[body])
}

func workStream(t *testing.T, h *services.Host) jetstream.Stream {
	t.Helper()
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Work))
	s, err := h.JetStream().Stream(t.Context(), proto.Work.Name)
	require.NoError(t, err)
	return s
}

func left(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return info.State.Msgs
}

func TestWorkIsDone(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, h)
	j := &jobs{answer: func(body string, tries int) error {
		switch {
		case body == "twice" && tries == 1:
			return errors.New("not yet")
		case body == "later" && tries == 1:
			return fmt.Errorf("wrapped: %w", &services.Later{After: 50 * time.Millisecond})
		case body == "never":
			return errors.New("never\nat all")
		case body == "garbage":
			return fmt.Errorf("%w: garbage", services.ErrMalformed)
		case body == "panic" && tries == 1:
			panic("now")
		}
		return nil
	}}
	servicestest.Run(t, h, servicestest.Service{})
	h.Work(queue, j.do)
	for _, body := range []string{"once", "twice", "later", "never", "garbage", "panic"} {
		_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte(body))
		require.NoError(t, err)
	}
	servicestest.Eventually(t, 20*time.Second, "all is settled but the dead letter", func() bool {
		_, err := s.GetLastMsgForSubject(t.Context(), queue.Dead)
		return err == nil && left(t, s) == 1
	})
	for body, want := range map[string]int{"once": 1, "twice": 2, "later": 2, "never": 2, "garbage": 1, "panic": 2} {
		require.Equal(t, want, j.tries(body), body)
	}
	dead, err := s.GetLastMsgForSubject(t.Context(), queue.Dead)
	require.NoError(t, err)
	require.Equal(t, "never", string(dead.Data))
	require.Equal(t, "never at all", dead.Header.Get("Sup-Dead-Reason"))
}

// A job that is enqueued twice, since nobody knows whether the first was stored, is done once.
func TestEnqueueOnce(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	require.Error(t, h.Enqueue(t.Context(), queue, "a", []byte("x")), "there is no stream")
	s := workStream(t, h)
	servicestest.Run(t, h, servicestest.Service{})
	for range 3 {
		require.NoError(t, h.Enqueue(t.Context(), queue, "a", []byte("x")))
	}
	require.NoError(t, h.Enqueue(t.Context(), queue, "b", []byte("y")))
	require.Equal(t, uint64(2), left(t, s))
	j := &jobs{}
	h.Work(queue, j.do)
	servicestest.Eventually(t, 10*time.Second, "both are done", func() bool { return left(t, s) == 0 })
	require.Equal(t, []int{1, 1}, []int{j.tries("x"), j.tries("y")})
	require.NoError(t, h.Enqueue(t.Context(), queue, "a", []byte("x")))
	require.Zero(t, left(t, s), "also once it is done")
}

// Jobs of a lane keep their order, over two hosts of which one or both stop meanwhile.
func TestWorkInOrder(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	asks := servicestest.NewHost(t, "asks", n, nil)
	s := workStream(t, asks)
	servicestest.Run(t, asks, servicestest.Service{})
	var mu sync.Mutex
	done := map[string][]int{}
	do := func(_ context.Context, body []byte) error {
		lane, number, _ := strings.Cut(string(body), " ")
		i, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		if i%7 == 0 {
			runtime.Gosched() // others run meanwhile
		}
		mu.Lock()
		defer mu.Unlock()
		done[lane] = append(done[lane], i)
		return nil
	}
	start := func() (stop func() error) {
		h := servicestest.NewHost(t, "test", n, nil)
		stop = servicestest.Run(t, h, servicestest.Service{})
		h.Work(queue, do, services.WithLanes(func(body []byte) string { lane, _, _ := strings.Cut(string(body), " "); return lane }))
		return stop
	}
	const jobs, lanes = 1200, 10
	stops := []func() error{start(), start()}
	for i := range jobs {
		require.NoError(t, asks.Enqueue(t.Context(), queue, strconv.Itoa(i), fmt.Appendf(nil, "lane%d %d", i%lanes, i)))
		if i%300 == 299 { // one stops, later both, and others come
			require.NoError(t, stops[0]())
			if i == 599 {
				require.NoError(t, stops[1]())
				stops = append(stops, start())
			}
			stops = append(stops[1:], start())
		}
	}
	servicestest.Eventually(t, 20*time.Second, "all are done", func() bool { return left(t, s) == 0 })
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, done, lanes)
	for lane, is := range done {
		require.Len(t, is, jobs/lanes, lane)
		require.IsIncreasing(t, is, lane)
	}
}

// A timer fires at its time, also when the server and the service are away meanwhile.
func TestSchedule(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, h)
	stop := servicestest.Run(t, h, servicestest.Service{})
	j := &jobs{}
	h.Work(queue, j.do)
	at := time.Now().Add(700 * time.Millisecond)
	require.NoError(t, h.Schedule(t.Context(), proto.Timer("test", "a"), queue, at, []byte("a")))
	require.NoError(t, h.Schedule(t.Context(), proto.Timer("test", "b"), queue, at.Add(time.Hour), []byte("b1")))
	require.NoError(t, h.Schedule(t.Context(), proto.Timer("test", "b"), queue, at, []byte("b2")))
	require.Equal(t, uint64(2), left(t, s), "the same name replaces")
	servicestest.Eventually(t, 10*time.Second, "both are done", func() bool { return left(t, s) == 0 })
	require.Equal(t, []int{1, 0, 1}, []int{j.tries("a"), j.tries("b1"), j.tries("b2")})
	require.False(t, j.seen["a"][0].Before(at), "not before its time")

	at = time.Now().Add(500 * time.Millisecond)
	require.NoError(t, h.Schedule(t.Context(), proto.Timer("test", "c"), queue, at, []byte("c")))
	require.NoError(t, stop())
	n.Stop()
	servicestest.Eventually(t, 5*time.Second, "its time is over", func() bool { return time.Now().After(at) })
	n.Start()
	h = servicestest.NewHost(t, "test", n, nil)
	servicestest.Run(t, h, servicestest.Service{})
	h.Work(queue, j.do)
	servicestest.Eventually(t, 10*time.Second, "it is done late", func() bool { return j.tries("c") == 1 })
}

// A job under way when the host stops is another's at once.
func TestJobIsGivenBack(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h, next := servicestest.NewHost(t, "test", n, nil), servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, next)
	stop := servicestest.Run(t, h, servicestest.Service{})
	long := queue
	long.Timeout = time.Minute
	begun := make(chan struct{})
	h.Work(long, func(ctx context.Context, _ []byte) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("x"))
	require.NoError(t, err)
	<-begun
	require.NoError(t, stop())
	servicestest.Run(t, next, servicestest.Service{})
	j := &jobs{}
	next.Work(long, j.do)
	servicestest.Eventually(t, 10*time.Second, "it is done", func() bool { return j.tries("x") == 1 && left(t, s) == 0 })
}

// A worker goes on after the server was away.
func TestWorkOutlivesARestart(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, h)
	servicestest.Run(t, h, servicestest.Service{})
	j := &jobs{}
	h.Work(queue, j.do)
	n.Stop()
	n.Start()
	servicestest.Eventually(t, 10*time.Second, "a job is stored", func() bool {
		_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("x"))
		return err == nil
	})
	servicestest.Eventually(t, 20*time.Second, "it is done", func() bool { return j.tries("x") >= 1 && left(t, s) == 0 })
}

// A stream made before there were schedules gets them.
func TestSchedulesAreSwitchedOn(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	_, err := h.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: proto.Work.Name, Subjects: proto.Work.Subjects, Retention: jetstream.WorkQueuePolicy, MaxBytes: 1 << 20,
		Duplicates: proto.Work.Dedup, AllowDirect: true, Metadata: map[string]string{proto.MetadataEpoch: "e"},
	})
	require.NoError(t, err)
	require.ErrorContains(t, h.EnsureStreams(t.Context(), false, proto.Work), "schedules is off, not on")
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Work))
	require.NoError(t, h.Schedule(t.Context(), proto.Timer("test", "a"), queue, time.Now().Add(time.Hour), nil))
	require.NoError(t, h.EnsureStreams(t.Context(), false, proto.Work))
}

// A job that can never be done is given up at once, one that waits for something
// else is not given up however often it waits, and its tries are counted on.
func TestTriesAreCountedAsTheHandlerSays(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]services.WorkOption{
		"in the queue": nil, "aside": {services.WithWaitingAside()},
	} {
		t.Run(name, func(t *testing.T) {
			n := servicestest.RunNATS(t)
			h := servicestest.NewHost(t, "test", n, nil)
			s := workStream(t, h)
			j := &jobs{answer: func(body string, tries int) error {
				switch {
				case body == "hopeless":
					return fmt.Errorf("wrapped: %w", &services.Hopeless{Reason: "nobody there"})
				case body == "away" && tries <= 5, body == "away once" && tries == 2:
					return &services.Later{After: 20 * time.Millisecond, Free: true}
				case body == "never", body == "away once":
					return &services.Later{After: 20 * time.Millisecond}
				}
				return nil
			}}
			servicestest.Run(t, h, servicestest.Service{})
			h.Work(queue, j.do, opts...)
			for _, body := range []string{"hopeless", "away", "away once", "never"} {
				_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte(body))
				require.NoError(t, err)
			}
			servicestest.Eventually(t, 20*time.Second, "all is settled but the dead letters", func() bool {
				letters := deadLetters(t, s)
				return len(letters) == 3 && left(t, s) == 3
			})
			require.Equal(t, map[string]string{
				"hopeless": "wrapped: nobody there", "never": "not before 20ms have passed", "away once": "not before 20ms have passed",
			}, deadLetters(t, s))
			for body, want := range map[string]int{"hopeless": 1, "away": 6, "away once": 3, "never": 2} {
				require.Equal(t, want, j.tries(body), body)
			}
		})
	}
}

// deadLetters is body → reason of what lies dead.
func deadLetters(t *testing.T, s jetstream.Stream) map[string]string {
	t.Helper()
	letters := map[string]string{}
	for seq := uint64(1); ; {
		m, err := s.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(queue.Dead))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return letters
		}
		require.NoError(t, err)
		letters[string(m.Data)] = m.Header.Get(proto.HeaderDeadReason)
		seq = m.Sequence + 1
	}
}

// What waits aside does not keep the queue's places.
func TestWaitingAsideHoldsUpNobody(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, h)
	narrow := queue
	narrow.MaxPending = 2
	j := &jobs{answer: func(body string, _ int) error {
		if body == "waits" {
			return &services.Later{After: time.Hour}
		}
		return nil
	}}
	servicestest.Run(t, h, servicestest.Service{})
	h.Work(narrow, j.do, services.WithWaitingAside())
	for range 5 {
		_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("waits"))
		require.NoError(t, err)
	}
	_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("x"))
	require.NoError(t, err)
	servicestest.Eventually(t, 10*time.Second, "the last job is done", func() bool { return j.tries("x") == 1 && left(t, s) == 5 })
	require.Equal(t, 5, j.tries("waits"))
}

// With grace, a job under way when the host stops may end, and counts as done.
func TestJobEndsInItsGrace(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h, looker := servicestest.NewHost(t, "test", n, nil), servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, looker)
	stop := servicestest.Run(t, h, servicestest.Service{})
	begun, stopping := make(chan struct{}), make(chan struct{})
	h.Work(queue, func(ctx context.Context, _ []byte) error {
		close(begun)
		<-stopping
		return ctx.Err()
	}, services.WithGrace(5*time.Second))
	_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("x"))
	require.NoError(t, err)
	<-begun
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	servicestest.Eventually(t, 5*time.Second, "the host stops", func() bool { return h.Ready(t.Context()).Parts["host"].State != services.OK })
	close(stopping)
	require.NoError(t, <-ended)
	require.Zero(t, left(t, s))
}

// What has come to a host that stops, and was not begun, is another's at once.
func TestJobsNotBegunAreGivenBack(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h, next := servicestest.NewHost(t, "test", n, nil), servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, next)
	stop := servicestest.Run(t, h, servicestest.Service{})
	long := queue
	long.Timeout, long.MaxDeliver, long.MaxPending = time.Minute, 5, 300
	const all = 200 // more than are worked on at once, and wait with them
	begun := make(chan struct{}, all)
	h.Work(long, func(ctx context.Context, _ []byte) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	for i := range all {
		_, err := h.JetStream().Publish(t.Context(), queue.Subject, fmt.Append(nil, i))
		require.NoError(t, err)
	}
	for range services.DefaultWorkers {
		<-begun
	}
	require.NoError(t, stop())
	servicestest.Run(t, next, servicestest.Service{})
	j := &jobs{}
	next.Work(long, j.do)
	servicestest.Eventually(t, 20*time.Second, "all are done", func() bool { return left(t, s) == 0 })
	for i := range all {
		require.Equal(t, 1, j.tries(fmt.Sprint(i)))
	}
}

// A job of an instance that dies is another's long before its time is over, and one
// that takes longer than that stays with the instance that works on it.
func TestJobOfADeadInstance(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	dies, lives := servicestest.NewHost(t, "test", n, nil), servicestest.NewHost(t, "test", n, nil)
	s := workStream(t, lives)
	stop := servicestest.Run(t, dies, servicestest.Service{})
	servicestest.Run(t, lives, servicestest.Service{})
	long := queue
	long.Timeout = time.Hour
	begun := make(chan struct{})
	dies.Work(long, func(ctx context.Context, _ []byte) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := lives.JetStream().Publish(t.Context(), queue.Subject, []byte("left"))
	require.NoError(t, err)
	<-begun
	dies.NATS().Close() // nothing is heard of it any more
	_ = stop()
	j := &jobs{}
	lives.Work(long, func(ctx context.Context, body []byte) error {
		if string(body) == "long" { // for longer than an instance may be silent
			select {
			case <-time.After(8 * time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return j.do(ctx, body)
	})
	_, err = lives.JetStream().Publish(t.Context(), queue.Subject, []byte("long"))
	require.NoError(t, err)
	servicestest.Eventually(t, 30*time.Second, "both are done", func() bool { return left(t, s) == 0 })
	require.Equal(t, []int{1, 1}, []int{j.tries("left"), j.tries("long")})
}

// What follows a dead letter has the letter before it. Where it fails the job comes
// again, and there is still one letter, also if the job has waited in between.
func TestWhatFollowsADeadLetter(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h, looker := servicestest.NewHost(t, "test", n, nil), servicestest.NewHost(t, "looker", n, nil)
	s := workStream(t, looker)
	stop := servicestest.Run(t, h, servicestest.Service{})
	patient := queue
	patient.MaxDeliver = 5
	var found []map[string]string // at each time
	j := &jobs{answer: func(_ string, tries int) error {
		if tries == 2 {
			return errors.New("not yet")
		}
		return &services.Hopeless{Reason: "nobody there", Then: func(context.Context) error {
			if found = append(found, deadLetters(t, s)); len(found) == 1 {
				return errors.New("away")
			}
			return nil
		}}
	}}
	h.Work(patient, j.do, services.WithWaitingAside())
	_, err := h.JetStream().Publish(t.Context(), queue.Subject, []byte("x"))
	require.NoError(t, err)
	servicestest.Eventually(t, 30*time.Second, "all but letters is gone", func() bool { return j.tries("x") == 3 && left(t, s) == letterCount(t, s) })
	require.NoError(t, stop())
	letter := map[string]string{"x": "nobody there"}
	require.Equal(t, []map[string]string{letter, letter}, found)
	require.Equal(t, uint64(1), letterCount(t, s))
}

// letterCount is how many letters there are, those of one body among them.
func letterCount(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(queue.Dead))
	require.NoError(t, err)
	return info.State.Subjects[queue.Dead]
}
