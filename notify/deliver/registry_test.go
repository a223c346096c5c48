package deliver_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// registrations is the registry in memory.
type registrations struct {
	mu     sync.Mutex
	to     map[string]push.Registration // by user/device/provider
	gone   []string                     // tokens
	newest map[string]uint64            // by user/collapse key
	err    error
	onGone func() // before one is removed
}

func newRegistry() *registrations {
	return &registrations{to: map[string]push.Registration{}, newest: map[string]uint64{}}
}

func at(user proto.Token, device string, provider proto.PushProvider) string {
	return string(user) + "/" + device + "/" + string(provider)
}

func (r *registrations) Registration(_ context.Context, user proto.Token, device string, provider proto.PushProvider, _ proto.NotificationType) (push.Registration, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to, ok := r.to[at(user, device, provider)]
	return to, ok, r.err
}

func (r *registrations) Gone(_ context.Context, user proto.Token, device string, provider proto.PushProvider, token string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.onGone != nil {
		r.onGone()
	}
	if key := at(user, device, provider); r.to[key].Token == token {
		delete(r.to, key)
		r.gone = append(r.gone, token)
	}
	return r.err
}

func (r *registrations) Newest(_ context.Context, user proto.Token, key string, after uint64, _ bool) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest[string(user)+"/"+key] > after, r.err
}

func (r *registrations) set(change func(*registrations)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// workStream is the stream WORK, made.
func workStream(t testing.TB, h *services.Host) jetstream.Stream {
	t.Helper()
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Work))
	s, err := h.JetStream().Stream(t.Context(), proto.Work.Name)
	require.NoError(t, err)
	return s
}

func enqueue(t testing.TB, js jetstream.JetStream, job proto.Push) {
	t.Helper()
	body, err := wire.Marshal(&job)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), proto.PushJobs.Subject, body)
	require.NoError(t, err)
}

// left is how many entries a stream has.
func left(t testing.TB, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return int(info.State.Msgs)
}

// letters is notification id → reason of what lies dead.
func letters(t testing.TB, s jetstream.Stream) map[string]string {
	t.Helper()
	all := map[string]string{}
	for seq := uint64(1); ; {
		m, err := s.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(proto.PushJobs.Dead))
		if err != nil {
			require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			return all
		}
		var job proto.Push
		require.NoError(t, wire.Restore(m.Data, &job))
		require.NotContains(t, all, job.NotificationID, "two letters")
		all[job.NotificationID] = m.Header.Get(proto.HeaderDeadReason)
		seq = m.Sequence + 1
	}
}
