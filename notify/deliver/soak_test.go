package deliver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/deliver"
	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/webhook"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

const soakSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// rough is a webhook as one meets them: of its requests 30 % fail and 5 % hang, two
// in a thousand of them after it has taken the push. Some of its paths are wrong or gone.
type rough struct {
	t        *testing.T
	receiver *standardwebhooks.Webhook

	mu                              sync.Mutex
	taken                           map[string][]taken // by notification id
	requests, failed, hung, refused int
}

type taken struct{ id, collapse string }

func (r *rough) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	switch status := r.take(q, body); status {
	case 0: // hangs
		<-q.Context().Done()
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
	default:
		w.WriteHeader(status)
	}
}

// take is what it answers; 0 is nothing.
func (r *rough) take(q *http.Request, body []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	luck := rand.Float64()
	switch {
	case luck < .30:
		r.failed++
		return []int{500, 502, 503, 504}[r.failed%4]
	case luck < .35:
		r.hung++
		if luck >= .348 {
			r.keep(q, body)
		}
		return 0
	}
	if status, err := strconv.Atoi(strings.TrimPrefix(q.URL.Path, "/always/")); err == nil {
		r.refused++
		return status
	}
	r.keep(q, body)
	return http.StatusOK
}

func (r *rough) keep(q *http.Request, body []byte) {
	if strings.HasPrefix(q.URL.Path, "/always/") {
		return
	}
	if err := r.receiver.Verify(body, q.Header); err != nil {
		r.t.Errorf("signature: %v", err)
	}
	var e struct{ Data proto.Push }
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Errorf("body: %v", err)
	}
	id := e.Data.NotificationID
	r.taken[id] = append(r.taken[id], taken{q.Header.Get("webhook-id"), e.Data.CollapseKey})
}

func (r *rough) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken)
}

// soak is one run: how many pushes, over what time they come, and whether workers
// also lose their connection with all that was unsaid.
type soak struct {
	all     int
	over    time.Duration
	crashes bool
	limit   time.Duration
}

// TestSoak is the proof of delivery: a bad webhook, workers that stop and start every
// three seconds; nothing is lost, next to nothing comes twice, and dead letters are
// exactly what could never be done. PUSH_SOAK=20000 is its long form (make soak-push).
func TestSoak(t *testing.T) {
	s := soak{all: 2000, over: 12 * time.Second, limit: 2 * time.Minute}
	if long := os.Getenv("PUSH_SOAK"); long != "" {
		n, err := strconv.Atoi(long)
		require.NoError(t, err, "PUSH_SOAK")
		s = soak{all: n, over: max(12*time.Second, time.Duration(n)*3*time.Millisecond), crashes: true, limit: 10 * time.Minute}
	}
	s.run(t)
}

// fate is the path of a push: one in fifty is refused for ever, one in a hundred gone.
func fate(i int) string {
	switch {
	case i%50 == 7:
		return "/always/400"
	case i%100 == 13:
		return "/always/410"
	}
	return "/hook"
}

func (s soak) run(t *testing.T) {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(soakSecret)
	require.NoError(t, err)
	stub := &rough{t: t, receiver: receiver, taken: map[string][]taken{}}
	server := httptest.NewServer(stub)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	client := guard.New(guard.Options{Allow: []string{"127.0.0.1"}, Timeout: 2 * time.Second})
	t.Cleanup(client.Close)
	hooks, err := webhook.New(soakSecret, client)
	require.NoError(t, err)

	n, regs := servicestest.RunNATS(t), newRegistry()
	looker := servicestest.NewHost(t, "looker", n, nil)
	stream := workStream(t, looker)
	want, dead := map[string]bool{}, map[string]string{}
	jobs := make([]proto.Push, s.all)
	for i := range jobs {
		user, id := fmt.Sprintf("u%d", i), fmt.Sprintf("ntf_%d", i)
		regs.to[user+"/phone/webhook"] = push.Registration{Token: server.URL + fate(i)}
		jobs[i] = job(proto.PushWebhook, id)
		jobs[i].UserID, jobs[i].CollapseKey = user, "chat-"+user
		if status, ok := strings.CutPrefix(fate(i), "/always/"); ok {
			dead[id] = map[string]string{"400": "rejected: answered 400", "410": "gone: answered 410"}[status]
		} else {
			want[id] = true
		}
	}
	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	var fed error
	feeding.Go(func() { fed = s.feed(ctx, looker.JetStream(), jobs) })
	t.Cleanup(func() { stop(); feeding.Wait() })

	rounds, crashes := 0, 0
	for settled := false; !settled; rounds++ {
		require.Less(t, time.Since(began), s.limit, "%d of %d taken, %d entries left", stub.count(), len(want), left(t, stream))
		h := servicestest.NewHost(t, "notify", n, nil, services.WithLogger(slog.New(slog.DiscardHandler)))
		end := servicestest.Run(t, h, servicestest.Service{})
		deliver.New(h, []push.Provider{hooks}, regs, deliver.WithLongestPause(2*time.Second)).Work()
		for round := time.Now(); !settled && time.Since(round) < 3*time.Second; {
			next := time.Now().Add(50 * time.Millisecond)
			servicestest.Eventually(t, time.Second, "a moment has passed", func() bool { return time.Now().After(next) })
			settled = time.Since(began) > s.over && stub.count() == len(want) && left(t, stream) == len(dead)
		}
		if s.crashes && !settled && rounds%5 == 4 && time.Since(began) < s.over {
			h.NATS().Close() // nothing of what is under way is acknowledged
			crashes++
			_ = end()
			continue
		}
		require.NoError(t, end())
	}
	took := time.Since(began)
	feeding.Wait()
	require.NoError(t, fed)

	twice := 0
	for id := range want {
		times := stub.taken[id]
		require.NotEmpty(t, times, "%s is lost", id)
		twice += len(times) - 1
		for _, other := range times[1:] {
			require.Equal(t, times[0], other, "the same ids on every try")
		}
	}
	require.Len(t, stub.taken, len(want), "nothing else was taken")
	require.LessOrEqual(t, twice, s.all/100, "pushes that came twice")
	require.Equal(t, dead, letters(t, stream))
	require.Len(t, regs.gone, s.all/100)
	t.Logf("%d pushes in %s, %d starts of the worker (%d without a goodbye): %d requests, %d failed, %d hung, %d refused for ever; %d taken, %d twice (%.2f %%), %d dead letters, none lost",
		s.all, took.Round(time.Second), rounds, crashes, stub.requests, stub.failed, stub.hung, stub.refused, len(stub.taken), twice, 100*float64(twice)/float64(s.all), len(dead))
}

// feed stores the pushes evenly over a time.
func (s soak) feed(ctx context.Context, js jetstream.JetStream, jobs []proto.Push) error {
	tick := time.NewTicker(s.over / 100)
	defer tick.Stop()
	for i := range jobs {
		if i%max(1, len(jobs)/100) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
		body, err := wire.Marshal(&jobs[i])
		if err != nil {
			return err
		}
		if _, err := js.Publish(ctx, proto.PushJobs.Subject, body); err != nil {
			return err
		}
	}
	return nil
}
