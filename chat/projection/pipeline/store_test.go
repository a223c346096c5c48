package pipeline

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

// run starts a pipeline's lanes; stop waits for their end.
func run(t *testing.T, p *Pipeline) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, lane := range p.Lanes() {
		wg.Go(func() {
			if err := lane(ctx); err != nil {
				t.Errorf("lane: %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// step is an operation of one command.
type step struct {
	cmd  redis.Cmder
	done func(error)
}

func (s *step) Commands() []redis.Cmder { return []redis.Cmder{s.cmd} }
func (s *step) Done(err error)          { s.done(err) }

func TestOrderAndErrors(t *testing.T) {
	t.Parallel()
	r := servicestest.RunRedis(t)
	client := r.Client()
	script := redis.NewScript(`return redis.call('APPEND', KEYS[1], ARGV[1])`)
	p := New(client, script)
	stop := run(t, p)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	var want string
	var wg sync.WaitGroup
	for i := range 500 {
		text := string(rune('a' + i%26))
		want += text
		wg.Add(1)
		submit := p.Submit
		if i%3 == 0 {
			submit = p.SubmitLater
		}
		submit("key", &step{cmd: redis.NewCmd(ctx, "append", "key", text), done: func(err error) {
			defer wg.Done()
			if err != nil {
				t.Errorf("append: %v", err)
			}
		}})
	}
	wg.Wait()
	require.Equal(t, want, client.Get(ctx, "key").Val(), "operations of one key run in order")

	// A script that Redis does not know (any more) is loaded and run once.
	for range 2 {
		require.NoError(t, client.ScriptFlush(ctx).Err())
		require.NoError(t, p.Do(ctx, "s", redis.NewCmd(ctx, "evalsha", script.Hash(), 1, "s", "x")))
	}
	require.Equal(t, "xx", client.Get(ctx, "s").Val())

	missing := redis.NewStringCmd(ctx, "get", "missing")
	require.NoError(t, p.Do(ctx, "k", missing), "nothing there is no error")
	require.Empty(t, missing.Val())
	err := p.Do(ctx, "k", redis.NewCmd(ctx, "lpush", "key", "x"))
	require.ErrorContains(t, err, "WRONGTYPE")
	require.NotErrorIs(t, err, ErrDown)

	r.Stop()
	require.ErrorIs(t, p.Do(ctx, "k", redis.NewCmd(ctx, "get", "key")), ErrDown)
	r.Start()
	servicestest.Eventually(t, 10*time.Second, "it works again", func() bool {
		return p.Do(ctx, "k", redis.NewCmd(ctx, "get", "key")) == nil
	})

	// Nobody submits anything behind it: it runs all the same, and at the end too.
	alone := make(chan error, 1)
	for _, end := range []func(){func() {}, stop} {
		p.SubmitLater("alone", &step{cmd: redis.NewCmd(ctx, "incr", "alone"), done: func(err error) { alone <- err }})
		end()
		require.NoError(t, <-alone)
	}
	require.Equal(t, "2", client.Get(ctx, "alone").Val())
	require.ErrorIs(t, p.Do(ctx, "k", redis.NewCmd(ctx, "get", "key")), ErrDown, "a stopped pipeline says so")
}
