package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Bounds of the embedded server. They are those of deploy/nats where they can
// be, so that what fits here fits there.
const (
	maxPayload     = 256 << 10
	maxControlLine = 4 << 10
	maxPending     = 32 << 20
	maxStore       = 64 << 30         // each stream reserves its bound, twice where two services make it at once
	startTimeout   = 30 * time.Second // a large log is read back at start
)

// NATS is a running embedded server.
type NATS struct{ server *server.Server }

// StartNATS runs a server that keeps its streams in storeDir and listens on
// this loopback port; 0 is any free one.
func StartNATS(storeDir string, port int, log *slog.Logger) (*NATS, error) {
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		ServerName:             "sup",
		Host:                   "127.0.0.1",
		Port:                   port,
		NoSigs:                 true, // signals are this program's
		JetStream:              true,
		StoreDir:               storeDir,
		JetStreamMaxStore:      maxStore,
		JetStreamMaxMemory:     256 << 20,
		MaxPayload:             maxPayload,
		MaxControlLine:         maxControlLine,
		MaxPending:             maxPending,
		NoFastProducerStall:    true,
		PingInterval:           5 * time.Second,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded nats: %w", err)
	}
	s.SetLoggerV2(serverLog{log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("embedded nats: not ready (is the port free and the folder writable?)")
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded nats: no JetStream in %s", storeDir)
	}
	return &NATS{s}, nil
}

// Server is what in-process connections are made to.
func (n *NATS) Server() *server.Server { return n.server }

// URL is the address on loopback, for tools.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Stop ends the server and waits until what is stored is with the file system.
func (n *NATS) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// serverLog hands the server's warnings and errors to slog; its notices about
// itself are of use only when looking for a fault.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(f string, v ...any) { l.record(slog.LevelDebug, f, v) }
func (l serverLog) Warnf(f string, v ...any)   { l.record(slog.LevelWarn, f, v) }
func (l serverLog) Errorf(f string, v ...any)  { l.record(slog.LevelError, f, v) }
func (l serverLog) Fatalf(f string, v ...any)  { l.record(slog.LevelError, f, v) }
func (l serverLog) Debugf(f string, v ...any)  { l.record(slog.LevelDebug, f, v) }
func (l serverLog) Tracef(f string, v ...any)  { l.record(slog.LevelDebug, f, v) }

func (l serverLog) record(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "nats server", "detail", fmt.Sprintf(format, v...))
	}
}
