package services_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// answers counts how often each of many questions was ended, and how.
type answers struct {
	ended []atomic.Int32
	ok    atomic.Int32
	late  atomic.Int32
	down  atomic.Int32
	ids   sync.Map
}

func newAnswers(n int) *answers { return &answers{ended: make([]atomic.Int32, n)} }

func (a *answers) take(i int) func(services.Reply) {
	return func(r services.Reply) {
		switch {
		case r.Err == nil:
			a.ok.Add(1)
		case r.Err.Code == proto.Timeout:
			a.late.Add(1)
		case r.Err.Code == proto.ServiceUnavailable:
			a.down.Add(1)
		}
		a.ids.Store(r.RequestID, i)
		a.ended[i].Add(1)
	}
}

func (a *answers) all() bool {
	for i := range a.ended {
		if a.ended[i].Load() == 0 {
			return false
		}
	}
	return true
}

func (a *answers) once(t *testing.T) {
	t.Helper()
	for i := range a.ended {
		if times := a.ended[i].Load(); times != 1 {
			require.FailNow(t, "it must end once", "question %d ended %d times", i, times)
		}
	}
	n := 0
	a.ids.Range(func(any, any) bool { n++; return true })
	require.Len(t, a.ended, n, "each has an id of its own")
}

func ask(h *services.Host, subject string, timeout time.Duration, idempotent bool, done func(services.Reply)) {
	h.Ask(context.Background(), services.Question{Subject: subject, Actor: actor.Header(), Timeout: timeout, Idempotent: idempotent}, done)
}

// TestAQuestionEndsOnce: replies that come twice, and about when the time is up.
func TestAQuestionEndsOnce(t *testing.T) {
	t.Parallel()
	const questions = 300 // at once
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	nc := n.Connect()
	var answering sync.WaitGroup
	_, err := nc.Subscribe("rpc.test.race", func(msg *nats.Msg) {
		for range 2 {
			answering.Add(1)
			time.AfterFunc(rand.N(200*time.Millisecond), func() { _ = nc.Publish(msg.Reply, []byte(`{"success":true}`)); answering.Done() })
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	var rounds []*answers
	var ok, late int32
	for len(rounds) < 5 || ok == 0 || late == 0 { // a slow machine may need more to see both
		require.Less(t, len(rounds), 100)
		a := newAnswers(questions)
		for i := range questions {
			ask(h, "rpc.test.race", 90*time.Millisecond, i%2 == 0, a.take(i))
		}
		servicestest.Eventually(t, 10*time.Second, "all end", a.all)
		require.EqualValues(t, questions, a.ok.Load()+a.late.Load())
		ok, late = ok+a.ok.Load(), late+a.late.Load()
		rounds = append(rounds, a)
	}
	require.NoError(t, nc.Drain())
	servicestest.Eventually(t, 10*time.Second, "the service is done", nc.IsClosed)
	answering.Wait()
	require.NoError(t, h.Flush())
	for _, a := range rounds {
		a.once(t)
	}
}

// lossy is the time of a request that is repeated after a third of it.
const lossy = 2 * time.Second

// runsOut makes a request of the same time that nobody answers, and waits for its
// end: what was to be repeated of an older one has been by then.
func runsOut(t *testing.T, h *services.Host, nc *nats.Conn) {
	t.Helper()
	_, err := nc.SubscribeSync("rpc.test.runsout")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	_, err = h.Request(t.Context(), "rpc.test.runsout", actor, nil, services.WithTimeout(lossy), services.Idempotent())
	require.ErrorIs(t, err, &proto.Error{Code: proto.Timeout})
}

// TestALostReplyIsAskedForAgain: an idempotent question is repeated with the
// same id, and the reply to the first, which comes after all, is dropped.
func TestALostReplyIsAskedForAgain(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	nc := n.Connect()
	asked, err := nc.SubscribeSync("rpc.test.lossy")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	a := newAnswers(1)
	ask(h, "rpc.test.lossy", lossy, true, a.take(0))
	lost := servicestest.Next(t, asked)
	again := servicestest.Next(t, asked)
	require.Equal(t, lost.Header.Get(proto.HeaderRequestID), again.Header.Get(proto.HeaderRequestID))
	require.Equal(t, lost.Header.Get(proto.HeaderDeadline), again.Header.Get(proto.HeaderDeadline))
	require.NoError(t, again.Respond([]byte(`{"success":true}`)))
	require.NoError(t, lost.Respond([]byte(`{"success":true}`)))
	require.NoError(t, nc.Flush())
	servicestest.Eventually(t, 5*time.Second, "it ends", a.all)
	runsOut(t, h, nc)
	servicestest.Nothing(t, h.NATS(), asked, "nothing is sent after the answer")
	a.once(t)
	require.EqualValues(t, 1, a.ok.Load())
}

// TestNothingIsSentForOneWhoGaveUp: the end of ctx ends the repeats too.
func TestNothingIsSentForOneWhoGaveUp(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	nc := n.Connect()
	asked, err := nc.SubscribeSync("rpc.test.mute")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := h.Request(ctx, "rpc.test.mute", actor, nil, services.WithTimeout(lossy), services.Idempotent())
		ended <- err
	}()
	servicestest.Next(t, asked)
	cancel()
	require.ErrorIs(t, <-ended, &proto.Error{Code: proto.Timeout})
	runsOut(t, h, nc)
	servicestest.Nothing(t, h.NATS(), asked, "no repeat")

	_, err = h.Request(ctx, "rpc.test.mute", actor, nil)
	require.ErrorIs(t, err, &proto.Error{Code: proto.Timeout}, "with a ctx that has ended")
	servicestest.Nothing(t, h.NATS(), asked, "nothing is sent")
}

// TestQuestionsOutliveARestartOfNATS: those under way, whose replies are lost,
// and those asked while it is away. Only what may be repeated is.
func TestQuestionsOutliveARestartOfNATS(t *testing.T) {
	t.Parallel()
	const questions = 200
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var mute atomic.Bool
	mute.Store(true)
	var mu sync.Mutex
	heard := map[string]int{}
	serve := func() {
		nc := n.Connect(nats.NoReconnect())
		_, err := nc.Subscribe("rpc.test.*", func(msg *nats.Msg) {
			mu.Lock()
			heard[msg.Header.Get(proto.HeaderRequestID)]++
			mu.Unlock()
			if !mute.Load() {
				_ = msg.Respond([]byte(`{"success":true}`))
			}
		})
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
	}
	serve()
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(heard) }
	repeated, once, away := newAnswers(questions), newAnswers(questions), newAnswers(questions)
	for i := range questions {
		ask(h, "rpc.test.again", 9*time.Second, true, repeated.take(i))
		ask(h, "rpc.test.once", 2*time.Second, false, once.take(i))
	}
	servicestest.Eventually(t, 5*time.Second, "all are heard", func() bool { return count() == 2*questions })
	n.Stop()
	servicestest.Eventually(t, 5*time.Second, "the loss is seen", func() bool { return !h.NATS().IsConnected() })
	for i := range questions {
		ask(h, "rpc.test.away", 9*time.Second, false, away.take(i))
	}
	mute.Store(false)
	n.Start()
	serve()
	servicestest.Eventually(t, 10*time.Second, "all end", func() bool { return repeated.all() && once.all() && away.all() })
	for _, a := range []*answers{repeated, once, away} {
		a.once(t)
	}
	require.EqualValues(t, questions, repeated.ok.Load())
	require.EqualValues(t, questions, once.late.Load(), "the outcome is unknown")
	require.EqualValues(t, questions, away.ok.Load())
	mu.Lock()
	defer mu.Unlock()
	once.ids.Range(func(id, _ any) bool { require.Equal(t, 1, heard[id.(string)], "sent once"); return true })
	away.ids.Range(func(id, _ any) bool { require.Equal(t, 1, heard[id.(string)], "sent once"); return true })
}

// TestQuestionsFindAServiceThatComes: nobody is there at first.
func TestQuestionsFindAServiceThatComes(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	caller := servicestest.NewHost(t, "caller", n, nil)
	server := servicestest.NewHost(t, "test", n, nil)
	server.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{N: 1}, nil }))
	a, nobody := newAnswers(100), newAnswers(100)
	for i := range 100 {
		caller.Ask(t.Context(), services.Question{Subject: echo.Subject, Actor: actor.Header(), Body: []byte(`{}`)}, a.take(i))
		ask(caller, "rpc.test.nobody", 0, true, nobody.take(i))
	}
	servicestest.Run(t, server, servicestest.Service{})
	servicestest.Eventually(t, 5*time.Second, "all end", func() bool { return a.all() && nobody.all() })
	a.once(t)
	require.EqualValues(t, 100, a.ok.Load())
	nobody.once(t)
	require.EqualValues(t, 100, nobody.down.Load())
}

// TestAStopEndsEveryQuestion: also those that are asked then. What a host has
// under way is bounded.
func TestAStopEndsEveryQuestion(t *testing.T) {
	t.Parallel()
	const most = 1 << 16
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	nc := n.Connect()
	mute, err := nc.Subscribe("rpc.test.mute", func(*nats.Msg) {})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	a, again := newAnswers(most), newAnswers(1)
	ask(h, "rpc.test.mute", time.Minute, true, func(r services.Reply) {
		a.take(0)(r)
		ask(h, "rpc.test.mute", time.Minute, true, again.take(0))
	})
	for i := range most - 1 {
		ask(h, "rpc.test.mute", time.Minute, i%2 == 0, a.take(i+1))
	}
	over := newAnswers(1)
	ask(h, "rpc.test.mute", time.Minute, true, over.take(0))
	require.EqualValues(t, 1, over.down.Load(), "at once")
	require.False(t, a.all())
	h.Close()
	require.True(t, a.all())
	a.once(t)
	require.EqualValues(t, most, a.late.Load(), "their outcome is unknown")
	require.EqualValues(t, 1, again.down.Load())
	_, err = h.Request(t.Context(), "rpc.test.mute", actor, nil)
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	require.NoError(t, mute.Unsubscribe())
}

// TestAPanicOfOneCallerIsItsOwn: the others get their answers.
func TestAPanicOfOneCallerIsItsOwn(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	var log lines
	h := servicestest.NewHost(t, "test", n, nil, services.WithLogger(services.NewLogger(&log, 0, "json")))
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{}, nil }))
	servicestest.Run(t, h, servicestest.Service{})
	ask(h, echo.Subject, 0, false, func(services.Reply) { panic("mine") })
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{})
	require.NoError(t, err)
	require.Contains(t, log.find("panic"), "mine")
}
