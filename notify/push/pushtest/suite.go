package pushtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
)

// Said is an answer with a body that means something to a provider.
type Said struct {
	Name   string
	Status int
	Header map[string]string
	Body   string
	Want   push.Status
	After  time.Duration
}

// Target is one provider, and how it has to behave.
type Target struct {
	// New makes the provider on the stub, with this client.
	New func(t *testing.T, stub *Stub, client *guard.Client) push.Provider
	// Client makes the provider's client: one that reaches the stub.
	Client guard.Options
	// To is a registration at the stub.
	To func(stub *Stub) push.Registration
	// Statuses is what each HTTP status means; the suite wants every one to be named.
	Statuses map[push.Status][]int
	Says     []Said
	// ID and Collapse read from a request what must be the same on every try, and
	// of every push under one collapse key.
	ID, Collapse func(Seen) string
	// Payload is the part of a request that is bounded, and MaxPayload its bound;
	// nil for none.
	Payload    func(Seen) []byte
	MaxPayload int
	// Endpoint makes a registration at a URL that a user gives; nil where the
	// operator alone says where pushes go.
	Endpoint func(url string) push.Registration
}

// Secrets stand in the suite's push: no outcome may show them.
const (
	secretTitle   = "title-of-nobody-s-business"
	secretMessage = "message-of-nobody-s-business"
)

// Push is a push as the suite sends it.
func Push(name proto.PushProvider) *proto.Push {
	return &proto.Push{
		UserID: "ann", DeviceID: "phone", Provider: name, NotificationID: "ntf_1", Type: proto.NotifyMention,
		Title: secretTitle, Message: secretMessage, Data: proto.Raw(`{"a":1}`), ChatID: "room", MessageID: "m-1",
		Priority: proto.PriorityHigh, Sound: true, Badge: 3, CollapseKey: "room",
		CreatedAt: proto.At(time.Now()), ExpiresAt: proto.At(time.Now().Add(time.Hour)), After: 7,
	}
}

// Run is the suite.
func Run(t *testing.T, target Target) {
	t.Helper()
	s := &suite{Target: target}
	t.Run("statuses", s.statuses)
	t.Run("answers that say more", s.says)
	t.Run("Retry-After", s.retryAfter)
	t.Run("a server that is not well", s.unwell)
	t.Run("redirects", s.redirects)
	t.Run("bounded answers", s.bounded)
	t.Run("one id on every try", s.ids)
	t.Run("long pushes", s.long)
	t.Run("nothing is told", s.secrets)
	t.Run("forbidden addresses", s.forbidden)
}

type suite struct{ Target }

func (s *suite) start(t *testing.T, timeout time.Duration) (*Stub, push.Provider) {
	t.Helper()
	stub := NewStub(t)
	options := s.Client
	options.Timeout = timeout
	client := guard.New(options)
	t.Cleanup(client.Close)
	return stub, s.New(t, stub, client)
}

func (s *suite) send(t *testing.T, stub *Stub, p push.Provider) push.Outcome {
	t.Helper()
	return p.Send(t.Context(), Push(p.Name()), s.To(stub))
}

func (s *suite) statuses(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	want := map[int]push.Status{}
	for meaning, list := range s.Statuses {
		for _, status := range list {
			require.Zero(t, want[status], "%d has two meanings", status)
			want[status] = meaning
		}
	}
	for _, status := range statuses() {
		require.NotZero(t, want[status], "the table does not name %s", name(status))
		stub.AnswerWith(status, nil, "")
		o := s.send(t, stub, p)
		require.Equal(t, want[status], o.Status, "%s: %s", name(status), o.Detail)
		require.Len(t, stub.Seen(), 1, "%s: one try is one request", name(status))
		require.Contains(t, o.Detail, fmt.Sprint(status))
		delete(want, status)
	}
	require.Empty(t, want, "the table names what is no status")
}

func (s *suite) says(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	for _, c := range s.Says {
		t.Run(c.Name, func(t *testing.T) {
			stub.AnswerWith(c.Status, c.Header, c.Body)
			o := s.send(t, stub, p)
			require.Equal(t, c.Want, o.Status, o.Detail)
			require.Equal(t, c.After, o.After)
		})
	}
}

func (s *suite) retryAfter(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	for _, c := range []struct {
		header   string
		min, max time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{"0", 0, 0},
		{" 12 ", 12 * time.Second, 12 * time.Second},
		{"86400", push.MaxAfter, push.MaxAfter},
		{"99999999999999999999999", push.MaxAfter, push.MaxAfter},
		{time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat), 80 * time.Second, 90 * time.Second},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		{time.Now().Add(100 * time.Hour).UTC().Format(http.TimeFormat), push.MaxAfter, push.MaxAfter},
		{"-5", 0, 0},
		{"soon", 0, 0},
	} {
		stub.AnswerWith(http.StatusServiceUnavailable, map[string]string{"Retry-After": c.header}, "")
		o := s.send(t, stub, p)
		require.Equal(t, push.Retry, o.Status)
		require.GreaterOrEqual(t, o.After, c.min, c.header)
		require.LessOrEqual(t, o.After, c.max, c.header)
	}
	stub.AnswerWith(http.StatusTooManyRequests, map[string]string{"Retry-After": "600"}, "")
	require.Equal(t, 10*time.Minute, s.send(t, stub, p).After)
	stub.AnswerWith(http.StatusBadRequest, map[string]string{"Retry-After": "600"}, "")
	require.Zero(t, s.send(t, stub, p).After, "what is final does not come again")
}

// unwell is hangs and lost connections: each is a try to repeat, within the time.
func (s *suite) unwell(t *testing.T) {
	const timeout = 300 * time.Millisecond
	stub, p := s.start(t, timeout)
	quickly := func(t *testing.T, ctx context.Context) push.Outcome {
		t.Helper()
		began := time.Now()
		o := p.Send(ctx, Push(p.Name()), s.To(stub))
		require.Less(t, time.Since(began), 10*timeout)
		return o
	}
	for what, answer := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"a lost connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a body, and a lost connection": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		stub.Answer(answer)
		o := quickly(t, t.Context())
		require.Equal(t, push.Retry, o.Status, "%s: %s", what, o.Detail)
		require.NotEmpty(t, o.Detail, what)
	}
	stub.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), timeout/3)
	defer cancel()
	require.Equal(t, push.Retry, quickly(t, ctx).Status, "its context is over")
	stub.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	require.Equal(t, push.Delivered, quickly(t, t.Context()).Status, "it has taken the push: a second try would be a second push")
	stub.Answer(nil)
	require.Equal(t, push.Delivered, quickly(t, t.Context()).Status, "it is well again")
}

// redirects are answers: where they lead was registered by nobody.
func (s *suite) redirects(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		stub.AnswerWith(status, map[string]string{"Location": elsewhere.URL}, "")
		require.Equal(t, push.Rejected, s.send(t, stub, p).Status, status)
	}
	require.Zero(t, followed.Load())
}

// bounded wants a provider to read no more of an answer than it needs.
func (s *suite) bounded(t *testing.T) {
	stub, p := s.start(t, 10*time.Second)
	const huge = 256 << 20
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError} {
		written := make(chan int, 1)
		stub.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			chunk, n := []byte(strings.Repeat("x", 64<<10)), 0
			for n < huge {
				m, err := w.Write(chunk)
				if n += m; err != nil {
					break
				}
			}
			written <- n
		})
		o := s.send(t, stub, p)
		require.Equal(t, map[int]push.Status{http.StatusOK: push.Delivered, http.StatusInternalServerError: push.Retry}[status], o.Status)
		require.Less(t, <-written, huge/4)
	}
}

func (s *suite) ids(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	ask := func(change func(*proto.Push)) Seen {
		stub.AnswerWith(http.StatusServiceUnavailable, nil, "")
		job := Push(p.Name())
		change(job)
		p.Send(t.Context(), job, s.To(stub))
		require.Len(t, stub.Seen(), 1)
		return stub.Seen()[0]
	}
	first := ask(func(*proto.Push) {})
	again := ask(func(*proto.Push) {})
	other := ask(func(p *proto.Push) { p.NotificationID = "ntf_2" })
	elsewhere := ask(func(p *proto.Push) { p.CollapseKey = "another" })
	withdrawn := ask(func(p *proto.Push) { p.Withdraw = true })
	if s.ID != nil {
		require.NotEmpty(t, s.ID(first))
		require.Equal(t, s.ID(first), s.ID(again))
		require.NotEqual(t, s.ID(first), s.ID(other))
		require.NotEqual(t, s.ID(first), s.ID(withdrawn))
	}
	require.NotEmpty(t, s.Collapse(first))
	require.Equal(t, s.Collapse(first), s.Collapse(other))
	require.Equal(t, s.Collapse(first), s.Collapse(withdrawn))
	require.NotEqual(t, s.Collapse(first), s.Collapse(elsewhere))
}

func (s *suite) long(t *testing.T) {
	stub, p := s.start(t, 5*time.Second)
	for _, text := range []string{"x", "é", "😀", `"`, "\u2028", "\x01"} {
		job := Push(p.Name())
		job.Title, job.Message = strings.Repeat(text, proto.MaxTitle), strings.Repeat(text, proto.MaxNotificationText)
		job.Data = proto.Raw(`{"a":"` + strings.Repeat("y", proto.MaxNotificationData-8) + `"}`)
		job.CollapseKey = strings.Repeat("😀", 64)
		stub.Answer(nil)
		require.Equal(t, push.Delivered, p.Send(t.Context(), job, s.To(stub)).Status)
		require.Len(t, stub.Seen(), 1)
		if s.Payload != nil {
			require.LessOrEqual(t, len(s.Payload(stub.Seen()[0])), s.MaxPayload)
		}
		require.Len(t, job.Data, proto.MaxNotificationData, "the push is not the provider's to change")
	}
}

// secrets wants nothing of the registration or the push in what is logged.
func (s *suite) secrets(t *testing.T) {
	stub, p := s.start(t, 200*time.Millisecond)
	to := s.To(stub)
	host := strings.TrimPrefix(stub.URL, "http://")
	hidden := []string{to.Token, host, secretTitle, secretMessage, "ann", "room"}
	for _, part := range []string{to.P256DH, to.Auth} {
		if part != "" {
			hidden = append(hidden, part)
		}
	}
	check := func(text string) {
		for _, part := range hidden {
			require.NotContains(t, text, part)
		}
	}
	for _, answer := range []http.HandlerFunc{
		nil,
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, to.Token+secretMessage, http.StatusBadRequest)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"reason":"`+secretTitle+`","error":{"status":"room","details":[{"errorCode":"ann"}]}}`, http.StatusBadRequest)
		},
	} {
		stub.Answer(answer)
		o := s.send(t, stub, p)
		check(fmt.Sprintf("%v %+v %#v", o, o, o))
	}
	check(fmt.Sprintf("%v %+v %#v %s %q %x %d %v", to, to, to, to, to, to, to, &to))
	check(fmt.Sprintf("%+v", struct{ To push.Registration }{to}))
}
