package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/tools/e2e/mesh"
)

// couples are the chats of two that write at the same time.
const couples = 8

// Whoever has just got a message reacts to it, confirms it and reads it, and its sender edits it,
// while NATS servers are frozen in turn: a copy of the log that is behind must not make a message
// unknown. A receipt is never lowered.
func TestTrialFreshMessages(t *testing.T) {
	t.Parallel()
	long.Only(t)
	requests := long.Count(t, 500, 10_000)
	m := cluster(t)
	var done, repeated atomic.Int64
	errs := make(chan error, couples)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range couples {
		chat, ann, bob := fmt.Sprint("couple-", i), fmt.Sprint("ann-", i), fmt.Sprint("bob-", i)
		m.PutChat(t, chat, ann, bob)
		c := couple{chat: chat, came: make(chan mesh.SentMessage, 1), done: &done, repeated: &repeated}
		var err error
		c.ann, err = dial(ctx, m.Gateways[0].URL, mesh.Token(t, ann, "phone"), func(mesh.Received) {})
		require.NoError(t, err)
		c.bob, err = dial(ctx, m.Gateways[1].URL, mesh.Token(t, bob, "phone"), func(e mesh.Received) {
			var s mesh.SentMessage
			if e.Event == "message:new" && json.Unmarshal(e.Data, &s) == nil {
				c.came <- s
			}
		})
		require.NoError(t, err)
		wg.Go(func() {
			defer c.ann.close()
			defer c.bob.close()
			for n := 0; done.Load() < int64(requests) && ctx.Err() == nil; n++ {
				if err := c.exchange(n); err != nil {
					errs <- fmt.Errorf("%s: %w", chat, err)
					return
				}
			}
		})
	}
	over := make(chan struct{})
	go func() {
		wg.Wait()
		close(over)
	}()
	for i := 0; ; i++ {
		node := m.Nodes[i%len(m.Nodes)]
		node.Signal(t, syscall.SIGSTOP)
		mesh.Eventually(t, settle, "the server was frozen for a while", after(300*time.Millisecond))
		node.Signal(t, syscall.SIGCONT)
		mesh.Eventually(t, settle, "the server ran for a while", after(time.Second))
		select {
		case err := <-errs:
			cancel()
			require.NoError(t, err)
		case <-over:
			require.Empty(t, errs)
			t.Logf("%d requests on messages that had just come, %d of them sent again as the ack asked for", done.Load(), repeated.Load())
			return
		default:
		}
	}
}

// couple is a chat of two with one connection each.
type couple struct {
	chat           string
	ann, bob       *conn
	came           chan mesh.SentMessage
	done, repeated *atomic.Int64
}

// exchange sends one message and at once everything that can be done with it.
func (c *couple) exchange(n int) error {
	if err := c.ask(c.ann, "message:new", map[string]any{"chatId": c.chat, "encryptedContent": "text", "tempId": fmt.Sprint("t-", n)}, nil); err != nil {
		return err
	}
	var m mesh.SentMessage
	select {
	case m = <-c.came:
	case <-time.After(settle):
		return fmt.Errorf("message %d did not come within %s", n, settle)
	}
	id := map[string]any{"chatId": c.chat, "messageId": m.Message.ID}
	with := func(key string, value any) map[string]any {
		return map[string]any{"chatId": c.chat, "messageId": m.Message.ID, key: value}
	}
	var at cursor
	for _, step := range []struct {
		who   *conn
		event string
		data  map[string]any
		into  any
	}{
		{c.bob, "reaction:new", with("reaction", "👍"), nil},
		{c.ann, "message:edit", with("encryptedContent", "edited"), nil},
		{c.bob, "message:delivered", id, &at},
		{c.bob, "message:read", id, &at},
		{c.bob, "reaction:remove", with("reaction", "👍"), nil},
	} {
		if err := c.ask(step.who, step.event, step.data, step.into); err != nil {
			return err
		}
		if step.into != nil && at.UpToSeq < m.Message.Seq {
			return fmt.Errorf("%s of seq %d was lowered to %d", step.event, m.Message.Seq, at.UpToSeq)
		}
		c.done.Add(1)
	}
	return nil
}

// ask sends an event until its ack is a success; only a retryable failure is sent again.
func (c *couple) ask(who *conn, event string, data map[string]any, into any) error {
	for deadline := time.Now().Add(settle); ; c.repeated.Add(1) {
		ack, err := who.ask(event, data)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", event, err)
		case ack.Success && into == nil:
			return nil
		case ack.Success:
			return json.Unmarshal(ack.Raw, into)
		case !ack.Retryable || time.Now().After(deadline):
			return fmt.Errorf("%s: %s", event, ack.Raw)
		}
	}
}
