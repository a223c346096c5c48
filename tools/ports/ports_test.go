package ports_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest"
	"supmesh.dev/tools/ports"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func TestFree(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 200 {
		port, err := ports.Free(t.Context())
		require.NoError(t, err)
		require.False(t, seen[port], "twice")
		require.Less(t, port, 32768, "no client's")
		seen[port] = true
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}
}
