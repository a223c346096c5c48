package deliver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/deliver"
	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// provider is one that does what the test says.
type provider struct {
	name proto.PushProvider

	mu     sync.Mutex
	sent   map[string][]time.Time // by notification id
	answer func(p *proto.Push, tries int) push.Outcome
}

func (p *provider) Name() proto.PushProvider { return p.name }

func (p *provider) Send(_ context.Context, job *proto.Push, _ push.Registration) push.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent == nil {
		p.sent = map[string][]time.Time{}
	}
	p.sent[job.NotificationID] = append(p.sent[job.NotificationID], time.Now())
	if p.answer == nil {
		return push.Outcome{Status: push.Delivered}
	}
	return p.answer(job, len(p.sent[job.NotificationID]))
}

func (p *provider) tries(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent[id])
}

func (p *provider) at(id string, n int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[id][n]
}

func job(name proto.PushProvider, id string) proto.Push {
	return proto.Push{
		UserID: "ann", DeviceID: "phone", Provider: name, NotificationID: id, Type: proto.NotifyMention, Title: "t",
		Priority: proto.PriorityHigh, CreatedAt: proto.At(time.Now()), ExpiresAt: proto.At(time.Now().Add(time.Hour)), After: 5,
	}
}

func metricsOf(h *services.Host) string {
	w := httptest.NewRecorder()
	services.Handler(h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// Every end that a push can come to.
func TestEnds(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "notify", n, nil)
	s := workStream(t, h)
	fcm := &provider{name: proto.PushFCM, answer: func(p *proto.Push, tries int) push.Outcome {
		switch p.NotificationID {
		case "twice":
			if tries == 1 {
				return push.Outcome{Status: push.Retry, Detail: "answered 500"}
			}
		case "told when":
			if tries == 1 {
				return push.Outcome{Status: push.Retry, After: 3 * time.Second, Detail: "answered 429"}
			}
		case "skipped":
			return push.Outcome{Status: push.Skipped}
		case "rejected":
			return push.Outcome{Status: push.Rejected, Detail: "answered 400 INVALID_ARGUMENT"}
		case "gone":
			return push.Outcome{Status: push.Gone, Detail: "answered 404 UNREGISTERED"}
		case "a panic":
			if tries == 1 {
				panic("now")
			}
		case "short-lived":
			return push.Outcome{Status: push.Retry, Detail: "answered 500"}
		}
		return push.Outcome{Status: push.Delivered}
	}}
	regs := newRegistry()
	regs.to["ann/phone/fcm"] = push.Registration{Token: "secret-token"}
	regs.to["ann/old/fcm"] = push.Registration{Token: "old-token"}
	regs.to["ann/phone/apns"] = push.Registration{Token: "secret-token"}
	regs.newest["ann/room"] = 6
	var found string // the reason of the letter, when the registration goes
	regs.onGone = func() { found = letters(t, s)["gone"] }
	servicestest.Run(t, h, servicestest.Service{})
	deliver.New(h, []push.Provider{fcm}, regs).Work()
	for id, change := range map[string]func(*proto.Push){
		"delivered": nil, "twice": nil, "told when": nil, "skipped": nil, "rejected": nil, "a panic": nil,
		"gone":         func(p *proto.Push) { p.DeviceID = "old" },
		"short-lived":  func(p *proto.Push) { p.ExpiresAt = proto.At(time.Now().Add(1200 * time.Millisecond)) },
		"expired":      func(p *proto.Push) { p.ExpiresAt = proto.At(time.Now().Add(-time.Second)) },
		"never ends":   func(p *proto.Push) { p.ExpiresAt = proto.Timestamp{} },
		"superseded":   func(p *proto.Push) { p.CollapseKey = "room" },
		"the newest":   func(p *proto.Push) { p.CollapseKey, p.After = "room", 6 },
		"unregistered": func(p *proto.Push) { p.DeviceID = "another" },
		"off":          func(p *proto.Push) { p.Provider = proto.PushAPNs },
		"nobody's":     func(p *proto.Push) { p.UserID = "" },
	} {
		one := job(proto.PushFCM, id)
		if change != nil {
			change(&one)
		}
		enqueue(t, h.JetStream(), one)
	}
	_, err := h.JetStream().Publish(t.Context(), proto.PushJobs.Subject, []byte("no JSON"))
	require.NoError(t, err)
	servicestest.Eventually(t, 20*time.Second, "all is settled but the dead letters", func() bool { return left(t, s) == 3 && len(letters(t, s)) == 3 })
	require.Equal(t, map[string]string{
		"rejected": "rejected: answered 400 INVALID_ARGUMENT", "gone": "gone: answered 404 UNREGISTERED", "off": "this provider is not set up",
	}, letters(t, s))
	for id, want := range map[string]int{
		"delivered": 1, "twice": 2, "told when": 2, "skipped": 1, "rejected": 1, "gone": 1, "a panic": 2, "never ends": 1, "the newest": 1,
		"expired": 0, "superseded": 0, "unregistered": 0, "off": 0, "nobody's": 0,
	} {
		require.Equal(t, want, fcm.tries(id), id)
	}
	require.LessOrEqual(t, fcm.tries("short-lived"), 2)
	require.GreaterOrEqual(t, fcm.at("told when", 1).Sub(fcm.at("told when", 0)), 3*time.Second, "not before the provider's moment")
	require.GreaterOrEqual(t, fcm.at("twice", 1).Sub(fcm.at("twice", 0)), 800*time.Millisecond, "a second, and a fifth less at most")
	require.Equal(t, []string{"old-token"}, regs.gone)
	require.Equal(t, "gone: answered 404 UNREGISTERED", found, "the letter is stored first")

	text := metricsOf(h)
	for outcome, want := range map[string]string{"delivered": "6", "gone": "1", "rejected": "1", "skipped": "1", "superseded": "1", "unregistered": "1"} {
		require.Contains(t, text, `notify_pushes_total{outcome="`+outcome+`",provider="fcm",service="notify"} `+want+"\n")
	}
	require.Contains(t, text, `notify_push_breakers{provider="fcm",service="notify",state="closed"} 1`)
	require.Contains(t, text, `notify_push_breakers{provider="fcm",service="notify",state="open"} 0`)
	require.NotContains(t, text, "ann")
	require.NotContains(t, text, "secret-token")
}

// While the registrations cannot be read nothing is lost and no try is counted.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "notify", n, nil)
	s := workStream(t, h)
	fcm, regs := &provider{name: proto.PushFCM}, newRegistry()
	regs.to["ann/phone/fcm"] = push.Registration{Token: "t"}
	regs.err = errors.New("away")
	servicestest.Run(t, h, servicestest.Service{})
	deliver.New(h, []push.Provider{fcm}, regs).Work()
	enqueue(t, h.JetStream(), job(proto.PushFCM, "x"))
	servicestest.Eventually(t, 10*time.Second, "it waits as a timer", func() bool {
		return strings.Contains(metricsOf(h), `outcome="unavailable"`) && left(t, s) == 1
	})
	regs.set(func(r *registrations) { r.err = nil })
	servicestest.Eventually(t, 20*time.Second, "it is delivered", func() bool { return fcm.tries("x") == 1 && left(t, s) == 0 })
}

// A provider that is down costs its pushes no tries and the others no time.
func TestBreaker(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "notify", n, nil)
	s := workStream(t, h)
	var up sync.Map
	broken := &provider{name: proto.PushFCM, answer: func(*proto.Push, int) push.Outcome {
		if _, ok := up.Load("up"); ok {
			return push.Outcome{Status: push.Delivered}
		}
		return push.Outcome{Status: push.Retry, Detail: "timed out"}
	}}
	well := &provider{name: proto.PushAPNs}
	regs := newRegistry()
	regs.to["ann/phone/fcm"], regs.to["ann/phone/apns"] = push.Registration{Token: "t"}, push.Registration{Token: "t"}
	servicestest.Run(t, h, servicestest.Service{})
	deliver.New(h, []push.Provider{broken, well}, regs).Work()
	const all = 700 // more than the queue has places
	for range all {
		enqueue(t, h.JetStream(), job(proto.PushFCM, "broken"))
	}
	enqueue(t, h.JetStream(), job(proto.PushAPNs, "well"))
	servicestest.Eventually(t, 10*time.Second, "the other's push is delivered", func() bool { return well.tries("well") == 1 })
	servicestest.Eventually(t, 10*time.Second, "the breaker is open", func() bool {
		return strings.Contains(metricsOf(h), `notify_push_breakers{provider="fcm",service="notify",state="open"} 1`)
	})
	tried := broken.tries("broken")
	require.Less(t, tried, 200, "the rest was put off without a try")
	up.Store("up", true)
	servicestest.Eventually(t, 60*time.Second, "all are delivered", func() bool { return left(t, s) == 0 })
	require.Equal(t, all, broken.tries("broken")-tried, "each once more")
}
