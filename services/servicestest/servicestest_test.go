package servicestest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func TestNATSKeepsItsStoreOverARestart(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	url := n.URL
	js, err := jetstream.New(n.Connect())
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("1"))
	require.NoError(t, err)
	n.Stop()
	n.Start()
	require.Equal(t, url, n.URL)
	js, err = jetstream.New(n.Connect())
	require.NoError(t, err)
	s, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.CachedInfo().State.Msgs)
}

func TestTheRedisClusterRefusesWhatARealOneWould(t *testing.T) {
	t.Parallel()
	plain, cluster := servicestest.RunRedis(t).Client(), servicestest.RunRedisCluster(t).Client()
	require.NoError(t, plain.MSet(t.Context(), "a", 1, "b", 2).Err())
	require.ErrorContains(t, cluster.Eval(t.Context(), "return 1", []string{"a", "b"}).Err(), "slot")
	require.NoError(t, cluster.Eval(t.Context(), "return 1", []string{"{a}1", "{a}2"}).Err())
}

func TestPersistRepeatsWhatMayBeRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code proto.Code
		want int
	}{{proto.ServiceUnavailable, 3}, {proto.Timeout, 3}, {proto.InvalidPayload, 1}} {
		calls := 0
		got, err := servicestest.Persist(func() (int, error) {
			calls++
			if calls < 3 {
				return 0, &proto.Error{Code: c.code}
			}
			return calls, nil
		})
		require.Equal(t, c.want, calls, c.code)
		require.Equal(t, c.want == 3, err == nil && got == 3)
	}
}
