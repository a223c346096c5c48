package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// deadLetters is a server with three letters of two queues.
func deadLetters(t *testing.T) (*services.Host, jetstream.Stream, string) {
	t.Helper()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Work))
	s, err := h.JetStream().Stream(t.Context(), proto.Work.Name)
	require.NoError(t, err)
	for _, l := range []struct{ subject, body, reason string }{
		{proto.PushJobs.Dead, `{"userId":"ann"}`, "rejected: answered 400"},
		{proto.ExpireMessages.Dead, `no JSON`, "timed out"},
		{proto.PushJobs.Dead, `{"userId":"bob"}`, "gone: answered 410"},
	} {
		_, err := h.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: l.subject, Data: []byte(l.body), Header: nats.Header{proto.HeaderDeadReason: {l.reason}}})
		require.NoError(t, err)
	}
	return h, s, n.URL
}

func TestEveryQueueHasDeadLetters(t *testing.T) {
	t.Parallel()
	for _, q := range proto.Queues {
		found, err := (&letters{Queue: q.Name}).queues()
		require.NoError(t, err)
		require.Equal(t, []proto.Queue{q}, found)
		require.True(t, strings.HasPrefix(q.Dead, "dead."), q.Name)
	}
	_, err := (&letters{Queue: "push"}).queues()
	require.ErrorContains(t, err, "notify-push")
}

func TestListDeadLetters(t *testing.T) {
	t.Parallel()
	_, s, _ := deadLetters(t)
	list := func(c dlqList) string {
		var out strings.Builder
		require.NoError(t, c.show(t.Context(), &out, s, time.Now()))
		return out.String()
	}
	all := list(dlqList{Limit: 100})
	require.Contains(t, all, "SEQ  QUEUE")
	for _, want := range []string{"rejected: answered 400", "timed out", "gone: answered 410", "chat-expire: 1\n", "notify-push: 2\n"} {
		require.Contains(t, all, want)
	}
	require.NotContains(t, all, "ann", "bodies only where they are asked for")
	require.Contains(t, list(dlqList{Bodies: true}), `{"userId":"ann"}`)
	require.NotContains(t, list(dlqList{letters: letters{Queue: "notify-push"}}), "timed out")
	require.NotContains(t, list(dlqList{letters: letters{Reason: "gone"}}), "rejected")
	require.Contains(t, list(dlqList{Limit: 1}), "1 of 3 shown\n")
	require.Equal(t, "no dead letters\n", list(dlqList{letters: letters{Queue: "signaling-timer"}}))

	lines := strings.Split(strings.TrimSpace(list(dlqList{JSON: true})), "\n")
	require.Len(t, lines, 3)
	var first, second letter
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.JSONEq(t, `"no JSON"`, string(first.Body), "the first of the queues")
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &second))
	require.JSONEq(t, `{"userId":"ann"}`, string(second.Body))
	require.Equal(t, "notify-push", second.Queue)
}

// run is one command line.
func run(t *testing.T, url string, args ...string) error {
	t.Helper()
	t.Setenv("NATS_URL", url)
	var c cli
	parser, err := kong.New(&c, kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Writers(os.Stderr, os.Stderr))
	require.NoError(t, err)
	command, err := parser.Parse(append([]string{"dlq"}, args...))
	require.NoError(t, err)
	return command.Run()
}

// What is put back is done as if it were new, and is a letter no more.
func TestReplayDeadLetters(t *testing.T) { //nolint:paralleltest // sets the environment
	h, s, url := deadLetters(t)
	require.ErrorContains(t, run(t, url, "replay"), "--all")
	require.NoError(t, run(t, url, "replay", "--queue", "notify-push", "--reason", "gone"))
	servicestest.Run(t, h, servicestest.Service{})
	got := make(chan string, 10)
	h.Work(proto.PushJobs, func(_ context.Context, body []byte) error { got <- string(body); return nil })
	require.JSONEq(t, `{"userId":"bob"}`, <-got)
	servicestest.Eventually(t, 5*time.Second, "two letters are left", func() bool { return count(t, s) == 2 })
	require.NoError(t, run(t, url, "replay", "1"))
	require.JSONEq(t, `{"userId":"ann"}`, <-got)
	servicestest.Eventually(t, 5*time.Second, "one letter is left", func() bool { return count(t, s) == 1 })
	require.NoError(t, run(t, url, "list"))
}

// A letter that dies again is not put back by the same command again.
func TestReplayOfTheHopeless(t *testing.T) { //nolint:paralleltest // sets the environment
	h, s, url := deadLetters(t)
	servicestest.Run(t, h, servicestest.Service{})
	h.Work(proto.PushJobs, func(context.Context, []byte) error { return &services.Hopeless{Reason: "still"} })
	require.NoError(t, run(t, url, "replay", "--queue", "notify-push"))
	servicestest.Eventually(t, 5*time.Second, "both are dead again", func() bool {
		m, err := s.GetLastMsgForSubject(t.Context(), proto.PushJobs.Dead)
		return err == nil && m.Header.Get(proto.HeaderDeadReason) == "still" && count(t, s) == 3
	})
}

func TestDropDeadLetters(t *testing.T) { //nolint:paralleltest // sets the environment
	_, s, url := deadLetters(t)
	require.ErrorContains(t, run(t, url, "drop"), "--all")
	require.ErrorContains(t, run(t, url, "drop", "--reason", "gone"), "--all")
	require.Error(t, run(t, url, "drop", "--queue", "nothing"))
	require.Equal(t, 3, count(t, s))
	require.NoError(t, run(t, url, "drop", "3", "99"))
	_, err := s.GetMsg(t.Context(), 3)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
	require.NoError(t, run(t, url, "drop", "--queue", "notify-push"))
	require.Equal(t, 1, count(t, s))
	require.NoError(t, run(t, url, "drop", "--all"))
	require.Zero(t, count(t, s))
}

func count(t *testing.T, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return int(info.State.Msgs)
}
