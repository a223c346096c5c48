package services_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

var (
	backend = proto.Actor{Backend: true, Gateway: "g1"}
	// once is a row that must not run twice, sure one that may.
	once = endpoint[echoReq, echoRes]("rpc.test.once")
	sure = proto.Endpoint[echoReq, echoRes]{Row: proto.Row{Subject: "rpc.test.sure", Timeout: 5 * time.Second, Idempotent: true}}
)

// onBoth runs a test on a plain Redis and on a cluster of one node.
func onBoth(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

// keyed is a caller and instances of one service that count what they run.
type keyed struct {
	t      *testing.T
	caller *services.Host
	runs   atomic.Int32
}

// runKeyed starts n instances; handle says what each run answers.
func runKeyed(t *testing.T, n *servicestest.NATS, r *servicestest.Redis, instances int, handle func(ctx context.Context, req echoReq) (echoRes, error)) *keyed {
	t.Helper()
	k := &keyed{t: t, caller: servicestest.NewHost(t, "caller", n, nil)}
	serve := func(ctx context.Context, req echoReq) (echoRes, error) {
		k.runs.Add(1)
		if handle != nil {
			return handle(ctx, req)
		}
		return echoRes{Key: req.Key}, nil
	}
	for range instances {
		h := servicestest.NewHost(t, "test", n, r)
		h.Serve(services.On(once, serve), services.On(sure, serve))
		servicestest.Run(t, h, servicestest.Service{})
	}
	return k
}

func (k *keyed) ask(row proto.Row, key, body string, opts ...services.RequestOption) services.Reply {
	k.t.Helper()
	reply, err := k.try(row, key, body, opts...)
	require.NoError(k.t, err)
	return reply
}

func (k *keyed) try(row proto.Row, key, body string, opts ...services.RequestOption) (services.Reply, error) {
	opts = append([]services.RequestOption{services.WithRow(row), services.WithIdempotencyKey(key)}, opts...)
	return k.caller.Request(context.Background(), row.Subject, backend, []byte(body), opts...)
}

func (k *keyed) fails(code proto.Code, reply services.Reply) {
	k.t.Helper()
	require.NotNil(k.t, reply.Err, "%s", reply.Body)
	require.Equal(k.t, code, reply.Err.Code, "%s", reply.Body)
}

func TestAHundredRequestsOfOneKeyRunOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		k := runKeyed(t, servicestest.RunNATS(t), redis, 2, func(ctx context.Context, req echoReq) (echoRes, error) {
			select { // long enough for the others to come while it runs
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			return echoRes{Key: req.Key, N: 7}, nil
		})
		const requests = 100
		replies := make([]services.Reply, requests)
		var all sync.WaitGroup
		for i := range requests {
			all.Go(func() { replies[i], _ = k.try(once.Row, "{k}", `{"key":"a"}`) })
		}
		all.Wait()
		require.Equal(t, int32(1), k.runs.Load())
		replayed := 0
		for _, r := range replies {
			require.Contains(t, string(r.Body), `{"success":true,"key":"a","n":7,"requestId":"`)
			require.Equal(t, string(replies[0].Body), string(r.Body), "the very same bytes, requestId too")
			if r.Replayed {
				replayed++
			}
		}
		require.Equal(t, requests-1, replayed)
		ttl, err := redis.Client().PTTL(t.Context(), "{i:test:rpc.test.once:e2t9}").Result()
		require.NoError(t, err)
		require.InDelta(t, 24*time.Hour, ttl, float64(time.Minute))
	})
}

func TestAKeyIsOneRequest(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	k := runKeyed(t, n, servicestest.RunRedis(t), 1, nil)
	first := k.ask(once.Row, "k", `{"key":"a","n":1}`)
	require.False(t, first.Replayed)
	for _, body := range []string{`{"key":"a","n":1}`, " {\n\"n\": 1, \"key\": \"\\u0061\"} "} {
		again := k.ask(once.Row, "k", body)
		require.True(t, again.Replayed, body)
		require.Equal(t, string(first.Body), string(again.Body))
	}
	other := k.ask(once.Row, "k", `{"key":"b","n":1}`)
	k.fails(proto.Conflict, other)
	require.Equal(t, "Idempotency-Key", other.Err.Field)
	require.False(t, k.ask(sure.Row, "k", `{"key":"b"}`).Replayed, "another row is another key")
	require.False(t, k.ask(once.Row, "K", `{"key":"a","n":1}`).Replayed, "another key")
	require.Equal(t, int32(3), k.runs.Load())

	named := proto.Actor{Backend: true, User: "ann"}
	reply, err := k.caller.Request(t.Context(), once.Subject, named, []byte(`{"key":"a","n":1}`), services.WithIdempotencyKey("k"))
	require.NoError(t, err)
	k.fails(proto.Conflict, reply) // in another's name it is another request
	reply, err = k.caller.Request(t.Context(), once.Subject, actor, []byte(`{"key":"a","n":1}`), services.WithIdempotencyKey("k"))
	require.NoError(t, err)
	require.False(t, reply.Replayed, "a client does not see what a backend was answered")
	require.Nil(t, reply.Err)

	// A caller's own repeat carries its request id: its client asked once.
	id := services.NewRequestID()
	require.False(t, k.ask(once.Row, "r", `{}`, services.WithRequestID(id)).Replayed)
	require.False(t, k.ask(once.Row, "r", `{}`, services.WithRequestID(id)).Replayed)
	require.Equal(t, int32(5), k.runs.Load())
}

func TestWhatAKeyMayBe(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	k := runKeyed(t, n, servicestest.RunRedis(t), 1, nil)
	nc := n.Connect()
	ask := func(keys ...string) *nats.Msg {
		t.Helper()
		reply, err := nc.RequestMsg(&nats.Msg{Subject: once.Subject, Header: nats.Header{
			proto.HeaderActor: {backend.Header()}, proto.HeaderIdempotencyKey: keys,
		}}, 5*time.Second)
		require.NoError(t, err)
		return reply
	}
	for _, key := range []string{"", "a b", "é", "tab\there", "\x7f", strings.Repeat("k", 256)} {
		reply := ask(key)
		require.Equal(t, string(proto.InvalidPayload), reply.Header.Get(proto.HeaderError), "%q", key)
		require.Contains(t, string(reply.Data), `"field":"Idempotency-Key"`)
	}
	require.Equal(t, string(proto.InvalidPayload), ask("a", "b").Header.Get(proto.HeaderError), "two keys")
	require.Zero(t, k.runs.Load())
	for _, key := range []string{"!", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`, strings.Repeat("~", 255)} {
		require.Empty(t, ask(key).Header.Get(proto.HeaderError))
		again := ask(key)
		require.Empty(t, again.Header.Get(proto.HeaderError))
		require.Equal(t, "true", again.Header.Get(proto.HeaderReplayed))
	}
	require.Equal(t, int32(3), k.runs.Load())
}

func TestWhichAnswersAreKept(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	k := runKeyed(t, n, servicestest.RunRedis(t), 1, func(_ context.Context, req echoReq) (echoRes, error) {
		switch req.Key {
		case "final":
			return echoRes{}, &proto.Error{Code: proto.ChatNotFound, Message: "no such chat", Field: "key"}
		case "retryable":
			return echoRes{}, &proto.Error{Code: proto.ServiceUnavailable, Message: "later"}
		case "broken":
			return echoRes{}, context.Canceled
		case "panic":
			panic("here")
		case "large":
			return echoRes{Key: strings.Repeat("x", 2<<20)}, nil
		}
		return echoRes{}, nil
	})
	for _, c := range []struct {
		body string
		code proto.Code
		kept bool
	}{
		{`{"key":"final"}`, proto.ChatNotFound, true},
		{`{"key":"large"}`, proto.PayloadTooLarge, true},
		{`{"key":"retryable"}`, proto.ServiceUnavailable, false},
		{`{"key":"broken"}`, proto.InternalError, false},
		{`{"key":"panic"}`, proto.InternalError, false},
	} {
		k.runs.Store(0)
		first := k.ask(once.Row, c.body[8:10], c.body)
		again := k.ask(once.Row, c.body[8:10], c.body)
		k.fails(c.code, first)
		k.fails(c.code, again)
		require.Equal(t, c.kept, again.Replayed, c.body)
		if c.kept {
			require.Equal(t, string(first.Body), string(again.Body))
			require.Equal(t, first.Err, again.Err)
			require.Equal(t, int32(1), k.runs.Load(), c.body)
		} else {
			require.Equal(t, int32(2), k.runs.Load(), c.body)
		}
	}
	// What was refused as invalid has not run: it may come corrected.
	k.fails(proto.InvalidPayload, k.ask(once.Row, "i", `{"n":-1}`))
	require.Nil(t, k.ask(once.Row, "i", `{"n":1}`).Err)
}

func TestARepeatWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	entered, release := make(chan struct{}), make(chan struct{})
	k := runKeyed(t, n, servicestest.RunRedis(t), 1, func(context.Context, echoReq) (echoRes, error) {
		entered <- struct{}{}
		<-release
		return echoRes{N: 1}, nil
	})
	first, late := make(chan services.Reply, 1), make(chan services.Reply, 1)
	go func() { r, _ := k.try(once.Row, "k", `{}`); first <- r }()
	<-entered
	start := time.Now()
	impatient := k.ask(once.Row, "k", `{}`, services.WithTimeout(300*time.Millisecond))
	k.fails(proto.ServiceUnavailable, impatient)
	require.Greater(t, time.Since(start), 200*time.Millisecond, "up to the deadline")
	k.fails(proto.Conflict, k.ask(once.Row, "k", `{"n":2}`)) // there is nothing to wait for
	go func() { r, _ := k.try(once.Row, "k", `{}`); late <- r }()
	close(release)
	want, got := <-first, <-late
	require.Nil(t, want.Err)
	require.Equal(t, string(want.Body), string(got.Body))
	require.True(t, got.Replayed)
	require.Equal(t, int32(1), k.runs.Load())
}

// Those who wait hold no worker, and the one whose turn comes runs.
func TestWaitingTakesNoWorker(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, servicestest.RunRedis(t))
	entered, release := make(chan struct{}), make(chan struct{})
	var runs atomic.Int32
	h.Serve(services.On(once, func(_ context.Context, req echoReq) (echoRes, error) {
		if req.Key == "slow" && runs.Add(1) == 1 {
			close(entered)
			<-release
			return echoRes{}, &proto.Error{Code: proto.ServiceUnavailable, Message: "later"}
		}
		return echoRes{}, nil
	}, services.Workers(2), services.MaxPending(10)))
	servicestest.Run(t, h, servicestest.Service{})
	k := &keyed{t: t, caller: h}
	replies := make(chan services.Reply, 20)
	go func() { r, _ := k.try(once.Row, "k", `{"key":"slow"}`); replies <- r }()
	<-entered
	for range 6 {
		go func() { r, _ := k.try(once.Row, "k", `{"key":"slow"}`); replies <- r }()
	}
	for i := range 20 {
		require.Nil(t, k.ask(once.Row, fmt.Sprint(i), `{}`, services.WithTimeout(time.Second)).Err, "others run meanwhile")
	}
	close(release)
	failed, replayed := 0, 0
	for range 7 {
		r := <-replies
		if r.Err != nil {
			failed++
		}
		if r.Replayed {
			replayed++
		}
	}
	require.Equal(t, 1, failed, "the first alone")
	require.Equal(t, 5, replayed, "of the others one ran")
	require.Equal(t, int32(2), runs.Load())
}

func TestAKeyWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct{ stop, start func(*servicestest.Redis) }{
		"gone":  {(*servicestest.Redis).Stop, (*servicestest.Redis).Start},
		"hangs": {(*servicestest.Redis).Pause, (*servicestest.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
			k := runKeyed(t, n, r, 1, nil)
			require.Nil(t, k.ask(once.Row, "k", `{}`).Err)
			how.stop(r)
			k.fails(proto.ServiceUnavailable, k.ask(once.Row, "k", `{}`))
			k.fails(proto.ServiceUnavailable, k.ask(once.Row, "new", `{}`))
			require.Equal(t, int32(1), k.runs.Load(), "it might have run before")
			require.Nil(t, k.ask(sure.Row, "k", `{}`).Err, "nothing happens twice by it")
			require.Equal(t, int32(2), k.runs.Load())
			how.start(r)
			servicestest.Eventually(t, 5*time.Second, "keys count again", func() bool {
				return k.ask(once.Row, "back", `{}`).Err == nil && k.ask(once.Row, "back", `{}`).Replayed
			})
		})
	}
	n := servicestest.RunNATS(t)
	k := runKeyed(t, n, nil, 1, nil)
	k.fails(proto.ServiceUnavailable, k.ask(once.Row, "k", `{}`))
	require.Nil(t, k.ask(sure.Row, "k", `{}`).Err)
	require.Equal(t, int32(1), k.runs.Load(), "a service that was given no Redis")
}

// Redis hangs while the first runs: it is answered, and kept once Redis is back.
func TestAnAnswerIsKeptWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	k := runKeyed(t, n, r, 1, func(context.Context, echoReq) (echoRes, error) { r.Pause(); return echoRes{N: 1}, nil })
	first := k.ask(once.Row, "k", `{}`)
	require.Nil(t, first.Err)
	r.Resume()
	var again services.Reply
	servicestest.Eventually(t, 5*time.Second, "Redis is asked again", func() bool {
		again = k.ask(once.Row, "k", `{}`)
		return again.Err == nil
	})
	require.True(t, again.Replayed)
	require.Equal(t, string(first.Body), string(again.Body))
	require.Equal(t, int32(1), k.runs.Load())
}

// Redis loses everything while the first runs: its answer is kept all the same.
func TestAKeyWhoseRecordIsLost(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	client := r.Client()
	var lose func()
	k := runKeyed(t, n, r, 1, func(context.Context, echoReq) (echoRes, error) { lose(); return echoRes{}, nil })
	lose = func() { _ = client.FlushAll(context.Background()).Err() }
	require.Nil(t, k.ask(once.Row, "k", `{}`).Err)
	require.True(t, k.ask(once.Row, "k", `{}`).Replayed)

	// One that took longer than its row allows finds the key another's.
	record := "{i:test:rpc.test.once:bA}" // of l
	lose = func() {
		ctx := context.Background()
		require.NoError(t, client.Del(ctx, record).Err())
		require.NoError(t, client.HSet(ctx, record, "digest", "x", "by", "another").Err())
	}
	require.Nil(t, k.ask(once.Row, "l", `{}`).Err)
	by, err := client.HGet(t.Context(), record, "by").Result()
	require.NoError(t, err)
	require.Equal(t, "another", by)
	require.ErrorIs(t, client.HGet(t.Context(), record, "answer").Err(), redis.Nil)
}

// crashVariable makes the test binary a service on the NATS and Redis it names
// whose handler never answers.
const crashVariable = "SERVICES_TEST_CRASH"

// brief is a row whose key a crash frees within the second.
var brief = proto.Endpoint[echoReq, echoRes]{Row: proto.Row{Subject: "rpc.test.brief", Timeout: time.Second}}

func serveUntilKilled(addresses string) {
	natsURL, redisURL, _ := strings.Cut(addresses, " ")
	h, err := services.NewHost(context.Background(), "test", "0.0.0",
		services.Config{NATSURL: natsURL, RedisURL: services.Secret(redisURL), Replicas: 1, LogLevel: "error", DrainTimeout: time.Second}, services.WithoutListener())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	h.Serve(services.On(brief, func(context.Context, echoReq) (echoRes, error) {
		fmt.Println("entered")
		select {}
	}))
	fmt.Fprintln(os.Stderr, h.Run(context.Background(), servicestest.Service{}))
}

func TestACrashFreesTheKey(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashVariable+"="+n.URL+" "+r.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	k := &keyed{t: t, caller: servicestest.NewHost(t, "caller", n, nil)}
	entered := make(chan error, 1)
	go func() { _, err := bufio.NewReader(out).ReadString('\n'); entered <- err }()
	taken := false
	servicestest.Eventually(t, 20*time.Second, "the service takes the request", func() bool {
		_, err := k.try(brief.Row, "k", `{}`, services.WithTimeout(200*time.Millisecond))
		select {
		case err := <-entered:
			require.NoError(t, err)
			taken = true
		default: // not there yet, or too late for the deadline
		}
		return taken && proto.AsError(err).Code == proto.Timeout
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // an error: it was killed

	var runs atomic.Int32
	h := servicestest.NewHost(t, "test", n, r)
	h.Serve(services.On(brief, func(context.Context, echoReq) (echoRes, error) { runs.Add(1); return echoRes{N: 2}, nil }))
	servicestest.Run(t, h, servicestest.Service{})
	var reply services.Reply
	servicestest.Eventually(t, 5*time.Second, "the key is free", func() bool {
		reply, err = k.try(brief.Row, "k", `{}`)
		return err == nil && reply.Err == nil
	})
	again := k.ask(brief.Row, "k", `{}`)
	require.Equal(t, string(reply.Body), string(again.Body))
	require.True(t, again.Replayed)
	require.Equal(t, int32(1), runs.Load())
}
