package signaling

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.away["bob"] = true
	s := w.instance(rings(2 * time.Second))
	for range 2 {
		require.Equal(t, proto.CallUnreachable, s.mustCall(t, device("ann", 1), "c1", "bob").Status)
	}
	names, _ := s.returns(t, device("bob", 1), "")
	require.Equal(t, []string{"call:incoming"}, names)
	servicestest.Eventually(t, 5*time.Second, "it is missed", func() bool { return len(w.events("c1", "bob notification:new call_missed")) == 1 })
	require.Equal(t, proto.CallMissed, s.mustCall(t, device("ann", 1), "c1", "bob").Status)
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.blocked["ann bob"] = true
	s := w.instance(rings(2 * time.Second))
	require.Equal(t, proto.CallUnreachable, s.mustCall(t, device("ann", 1), "c1", "bob").Status)
	require.NoError(t, s.sends(t, device("ann", 1), "c1", `{}`))
	names, _ := s.returns(t, device("bob", 1), "")
	require.Empty(t, names)
	_, err := s.answers(t, device("bob", 1), "c1")
	requireFailure(t, proto.CallNotFound, err)
	s.mustCall(t, device("cat", 1), "c2", "bob") // who is not busy
	w.eventually("c1", "ann call:end missed no_answer")
	page, err := s.listHistory(device("bob", 1).ctx(t), proto.CallHistoryReq{})
	require.NoError(t, err)
	require.Len(t, page.Calls, 1)
	require.Equal(t, "c2", page.Calls[0].CallID)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.cfg.Policy = CallRelated
	w.strange["bob"] = true
	s := w.instance()
	_, err := s.callsOne(t, device("ann", 1), "c1", "bob")
	requireFailure(t, proto.PermissionDenied, err)
	s.mustCall(t, device("ann", 1), "c2", "cat")
	// Whom they do not know and who has blocked them is as any other: the code tells nothing.
	w.tell(func() { w.blocked["eve bob"], w.blocked["eve dan"] = true, true })
	_, err = s.callsOne(t, device("eve", 1), "c3", "bob")
	requireFailure(t, proto.PermissionDenied, err)
	require.Equal(t, proto.CallUnreachable, s.mustCall(t, device("eve", 1), "c4", "dan").Status)
}

func TestChat(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members["room"] = []string{"ann", "bob"}
	s := w.instance()
	offer := anOffer
	call := func(call, target, chat string) error {
		_, err := s.initiate(device("ann", 1).ctx(t), proto.InitiateCallReq{CallID: call, TargetUserID: target, CallType: proto.CallAudio, Offer: &offer, ChatID: chat})
		return err
	}
	requireFailure(t, proto.ChatNotFound, call("c1", "cat", "room"))
	requireFailure(t, proto.ChatNotFound, call("c1", "bob", "none"))
	require.NoError(t, call("c1", "bob", "room"))
	servicestest.Eventually(t, 5*time.Second, "it rings", func() bool { return len(w.events("c1", "bob call:incoming")) == 1 })
	require.Equal(t, "room", w.events("c1", "bob call:incoming")[0].text("chatId"))
}

// TestPresenceIsAway: then nobody knows who has blocked the caller, and no call
// begins; one that has begun goes on.
func TestPresenceIsAway(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "c1", "bob")
	require.NoError(t, w.noPresence())
	_, err := s.callsOne(t, device("cid", 1), "c2", "dan")
	requireFailure(t, proto.ServiceUnavailable, err)
	_, err = s.answers(t, device("bob", 1), "c1")
	require.NoError(t, err)
	require.Empty(t, w.events("c2", "dan call:incoming"))
}

func TestStrangersAreNoted(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	var mu sync.Mutex
	var lines bytes.Buffer
	host := servicestest.NewHostWith(t, "signaling", w.cfg.Config, services.WithLogger(slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return lines.Write(p)
	}), nil))))
	s, err := New(w.cfg, host)
	require.NoError(t, err)
	servicestest.Run(t, host, s, proto.Work)
	s.mustCall(t, device("ann", 1), "c1", "bob")
	eve := device("eve", 1)
	_, err = s.answers(t, eve, "c1")
	requireFailure(t, proto.CallNotFound, err)
	_, err = s.rejects(t, eve, "c1")
	requireFailure(t, proto.CallNotFound, err)
	_, err = s.ends(t, eve, "c1")
	requireFailure(t, proto.CallNotFound, err)
	requireFailure(t, proto.CallNotFound, s.sends(t, eve, "c1", `{"candidate":"1"}`))
	_, err = s.ends(t, eve, "none")
	requireFailure(t, proto.CallNotFound, err)
	require.Equal(t, proto.CallRinging, s.state(t, "c1").Status)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 4, bytes.Count(lines.Bytes(), []byte(`msg="a stranger to a call"`)))
	require.Contains(t, lines.String(), "call=c1 user=eve")
	require.NotContains(t, lines.String(), "v=0")
	_, err = s.get(eve.ctx(t), proto.GetCallReq{CallID: "c1"})
	requireFailure(t, proto.PermissionDenied, err)
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
