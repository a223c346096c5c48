package servicestest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services"
)

// NATS is an embedded server that a test may stop and start again on the same
// port and store.
type NATS struct {
	URL    string
	Server *server.Server
	t      testing.TB
	opts   server.Options
}

// RunNATS starts a server on a free port with JetStream in a directory of the
// test, and with the smallest max_payload that is supported. It stops with the test.
// change may alter the server's options.
func RunNATS(t testing.TB, change ...func(*server.Options)) *NATS {
	t.Helper()
	n := &NATS{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
		MaxControlLine: 4096, MaxPayload: services.MinPayload,
	}}
	for _, fn := range change {
		fn(&n.opts)
	}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// Start starts a stopped server again, where it was.
func (n *NATS) Start() {
	n.t.Helper()
	opts := n.opts // the server keeps and changes what it is given
	s, err := server.NewServer(&opts)
	require.NoError(n.t, err)
	s.Start()
	require.True(n.t, s.ReadyForConnections(10*time.Second), "nats server did not start")
	n.Server, n.URL = s, s.ClientURL()
	n.opts.Port = opts.Port
}

// Stop stops the server and waits until it has ended.
func (n *NATS) Stop() {
	n.Server.Shutdown()
	n.Server.WaitForShutdown()
}

// Connect is a plain client, closed with the test.
func (n *NATS) Connect(opts ...nats.Option) *nats.Conn {
	n.t.Helper()
	nc, err := nats.Connect(n.URL, opts...)
	require.NoError(n.t, err)
	n.t.Cleanup(nc.Close)
	return nc
}

// SyncAlways makes the server sync each append to disk.
func SyncAlways(o *server.Options) { o.SyncAlways = true }

// Monitored opens the server's monitoring listener on a free port.
func Monitored(o *server.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT }

// Monitor is the address of the monitoring listener.
func (n *NATS) Monitor() string { return "http://" + n.Server.MonitorAddr().String() }
