package deliver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/services/wire"
)

const soakSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// rough is a webhook as one meets them: of its requests 30 % fail and 5 % hang, two
// in a thousand of them after it has taken the push. Some of its paths are wrong or gone.
type rough struct {
	t        *testing.T
	receiver *standardwebhooks.Webhook

	mu     sync.Mutex
	pushes map[string]*seen // by notification id
	figures
}

// seen is what a webhook has seen of one push.
type seen struct {
	id, collapse    string // of the first request; all others must have the same
	taken, answered bool   // it has the push, and has said so
}

// figures count requests.
type figures struct {
	requests, failed, hung, refused int
	taken                           int // pushes
	again, unsaid                   int // requests for a push that it had said it has; had, and had not said so
}

func (r *rough) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // its worker was killed before it had said what it wants
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
	p := r.look(q, body)
	switch {
	case p.answered:
		r.again++
	case p.taken:
		r.unsaid++
	}
	always, err := strconv.Atoi(strings.TrimPrefix(q.URL.Path, "/always/"))
	luck := rand.Float64()
	switch {
	case luck < .30:
		r.failed++
		return []int{500, 502, 503, 504}[r.failed%4]
	case luck < .35:
		r.hung++
		if luck >= .348 && err != nil {
			r.keep(p)
		}
		return 0
	case err == nil:
		r.refused++
		return always
	}
	r.keep(p)
	p.answered = true
	return http.StatusOK
}

// look finds what is known of a push: whatever a request comes to, its ids are those
// of the first.
func (r *rough) look(q *http.Request, body []byte) *seen {
	if err := r.receiver.Verify(body, q.Header); err != nil {
		r.t.Errorf("signature: %v", err)
	}
	var e struct{ Data proto.Push }
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Errorf("body: %v", err)
	}
	id, collapse := q.Header.Get("webhook-id"), e.Data.CollapseKey
	p := r.pushes[e.Data.NotificationID]
	if p == nil {
		p = &seen{id: id, collapse: collapse}
		r.pushes[e.Data.NotificationID] = p
	}
	if p.id != id || p.collapse != collapse || id == "" || collapse == "" {
		r.t.Errorf("%s came as %q under %q, and before as %q under %q", e.Data.NotificationID, id, collapse, p.id, p.collapse)
	}
	return p
}

func (r *rough) keep(p *seen) {
	if !p.taken {
		r.figures.taken++
	}
	p.taken = true
}

func (r *rough) now() figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.figures
}

// lacks is the ids of the pushes that it has not, of those that it would take.
func (r *rough) lacks(jobs []proto.Push, dead map[string]string) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range jobs {
		id := jobs[i].NotificationID
		if p := r.pushes[id]; dead[id] == "" && (p == nil || !p.taken) {
			ids = append(ids, id)
		}
	}
	return ids
}

// soak is one run: how many pushes, and over what time they come.
type soak struct {
	all   int
	over  time.Duration
	limit time.Duration
	most  int // requests too many; 0: what a kill cuts off is much of few pushes
}

// killEvery is how long a worker lives, from its first request on.
const killEvery = 3 * time.Second

// TestSoak is the proof of delivery: a bad webhook, and a worker that is killed with
// SIGKILL every three seconds; nothing is lost, next to nothing comes twice, and dead
// letters are exactly what could never be done.
func TestSoak(t *testing.T) {
	t.Parallel()
	n := long.Count(t, 400, 20_000)
	s := soak{all: n, over: max(9*time.Second, time.Duration(n)*3*time.Millisecond), limit: 12 * time.Minute}
	if n >= 10_000 {
		s.most = n / 100
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

// perUser is how many devices each user has, with one push each.
const perUser = proto.MaxPushDevices

func (s soak) run(t *testing.T) {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(soakSecret)
	require.NoError(t, err)
	stub := &rough{t: t, receiver: receiver, pushes: map[string]*seen{}}
	server := httptest.NewServer(stub)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })

	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	looker := servicestest.NewHost(t, "looker", n, r)
	require.NoError(t, looker.EnsureStreams(t.Context(), true, proto.Events))
	stream := workStream(t, looker)
	regs := registry.New(looker.Redis(), looker.JetStream(), looker.CatchUp())
	dead := map[string]string{}
	jobs := make([]proto.Push, s.all)
	for i := range jobs {
		id := fmt.Sprintf("ntf_%d", i)
		jobs[i] = job(proto.PushWebhook, id)
		jobs[i].UserID, jobs[i].DeviceID, jobs[i].CollapseKey = fmt.Sprintf("u%d", i/perUser), fmt.Sprintf("d%d", i), fmt.Sprintf("chat-%d", i)
		if status, ok := strings.CutPrefix(fate(i), "/always/"); ok {
			dead[id] = map[string]string{"400": "rejected: answered 400", "410": "gone: answered 410"}[status]
		}
	}
	s.register(t, regs, server.URL)

	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	var fed error
	var queued atomic.Bool // all that there is
	feeding.Go(func() { fed = s.feed(ctx, looker.JetStream(), jobs); queued.Store(true) })
	t.Cleanup(func() { stop(); feeding.Wait() })

	defer func() {
		if t.Failed() {
			pending, dead := counts(t, stream)
			t.Logf("%+v; %d to be done, %d dead", stub.now(), pending, dead)
		}
	}()
	starts, kills, settled := 0, 0, false // kills while there was work
	for !settled {
		w := startWorker(t, n, r)
		starts++
		var alive time.Time // since its first request
		before := stub.now().requests
		servicestest.Eventually(t, s.limit-time.Since(began), "all is settled", func() bool {
			f := stub.now()
			if alive.IsZero() && f.requests > before {
				alive = time.Now()
			}
			pending, _ := counts(t, stream)
			settled = queued.Load() && pending == 0
			return settled || !alive.IsZero() && time.Since(alive) > killEvery
		})
		w.kill(t)
		if !settled {
			kills++
		}
	}
	took := time.Since(began)
	feeding.Wait()
	require.NoError(t, fed)

	f, lost := stub.now(), stub.lacks(jobs, dead)
	_, buried := counts(t, stream)
	twice := f.again + f.unsaid
	t.Logf("%d pushes in %s, %d starts of the worker, %d of them killed at work: %d requests, %d failed, %d hung, %d refused for ever; %d taken, %d sent again (%.2f %%): %d after an answer, %d without one; %d dead letters, %d lost",
		s.all, took.Round(time.Second), starts, kills, f.requests, f.failed, f.hung, f.refused, f.taken, twice, 100*float64(twice)/float64(s.all), f.again, f.unsaid, buried, len(lost))
	require.Empty(t, lost)
	require.Positive(t, kills)
	if s.most > 0 {
		require.LessOrEqual(t, twice, s.most, "sent again")
	}
	require.Equal(t, dead, letters(t, stream))
	s.checkRegistered(t, regs)
}

// register has a device for each push.
func (s soak) register(t *testing.T, regs *registry.Store, url string) {
	t.Helper()
	for from := 0; from < s.all; from += perUser {
		_, err := regs.Change(t.Context(), userOf(t, from), "", func(st *registry.State) (bool, error) {
			for i := from; i < min(from+perUser, s.all); i++ {
				st.Register(&registry.Registration{DeviceID: fmt.Sprintf("d%d", i), Provider: proto.PushWebhook, Token: fmt.Sprintf("%s%s?%d", url, fate(i), i)})
			}
			return true, nil
		})
		require.NoError(t, err)
	}
}

// checkRegistered is that those devices are no more that are gone, and no others.
func (s soak) checkRegistered(t *testing.T, regs *registry.Store) {
	t.Helper()
	for from := 0; from < s.all; from += perUser {
		st, err := regs.Logged(t.Context(), userOf(t, from))
		require.NoError(t, err)
		for i := from; i < min(from+perUser, s.all); i++ {
			_, ok := st.Of(fmt.Sprintf("d%d", i), proto.PushWebhook, proto.NotifyMention)
			require.Equal(t, fate(i) != "/always/410", ok, "device %d", i)
		}
	}
}

// counts is what a stream has that is still to be done, jobs and timers, and letters.
func counts(t *testing.T, s jetstream.Stream) (pending, dead uint64) {
	t.Helper()
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(proto.PushJobs.Dead))
	require.NoError(t, err)
	dead = info.State.Subjects[proto.PushJobs.Dead]
	return info.State.Msgs - dead, dead
}

func userOf(t *testing.T, i int) proto.Token {
	t.Helper()
	user, err := proto.EncodeID(fmt.Sprintf("u%d", i/perUser))
	require.NoError(t, err)
	return user
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
