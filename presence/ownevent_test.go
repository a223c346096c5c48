package presence

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// TestGatewaysLearnWhatAUserHasSet: at each change, whatever others are told of it, and
// with the answer to a connection that could not be told of at once.
func TestGatewaysLearnWhatAUserHasSet(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	s := w.instance()
	s.lives(t, "g1", true)
	sub, err := w.nats.Connect().SubscribeSync(proto.UserLive("ann"))
	require.NoError(t, err)
	ann := s.connect(t, "g1", "ann", "phone", "p1", "")
	require.Nil(t, ann.Own)
	next := func() (own proto.OwnPresence) {
		t.Helper()
		for {
			m, err := sub.NextMsg(10 * time.Second)
			require.NoError(t, err)
			if _, kind, err := proto.ParseUserSubject(m.Subject); err == nil && kind == proto.KindStatus {
				require.NoError(t, json.Unmarshal(m.Data, &own))
				return own
			}
		}
	}
	var last int64
	for _, status := range []proto.Status{proto.StatusOffline, proto.StatusOnline, proto.StatusOffline} { // within the pace of what others are told
		s.set(t, ann, proto.UpdatePresenceReq{Status: status})
		own := next()
		require.Equal(t, status == proto.StatusOffline, own.Status == proto.StatusOffline)
		require.Greater(t, own.At, last)
		last = own.At
	}
	late := &socket{user: "ann", device: "desk", pid: "p2", gateway: "g1", sid: "sid-late", since: time.Now()}
	res := s.tellOf(t, proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{late.opened()}})
	require.Len(t, res.Fences, 1)
	require.Equal(t, proto.StatusOffline, res.Fences[0].Own.Status)
}
