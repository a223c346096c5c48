package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// loopback is where the TURN server listens, relays from, and relays to.
const loopback = "127.0.0.1"

// turnTries bounds the search for a port that is free for UDP and TCP.
const turnTries = 20

// TURN is a relay for the media of calls: it listens over UDP and TCP, lets in who
// has a credential made with its secret, and relays to this machine alone.
type TURN struct {
	udp net.PacketConn
	tcp *guests
	log *slog.Logger
}

// ListenTURN takes this loopback port, of UDP and of TCP; 0 is any free one.
// Nobody is answered before Run.
func ListenTURN(ctx context.Context, port int, log *slog.Logger) (*TURN, error) {
	var lc net.ListenConfig
	for try := 1; ; try++ {
		tcp, err := lc.Listen(ctx, "tcp4", fmt.Sprintf("%s:%d", loopback, port))
		if err != nil {
			return nil, fmt.Errorf("embedded turn: %w", err)
		}
		udp, err := lc.ListenPacket(ctx, "udp4", tcp.Addr().String())
		if err == nil {
			return &TURN{udp: udp, tcp: &guests{Listener: tcp, conns: map[net.Conn]struct{}{}}, log: log}, nil
		}
		_ = tcp.Close()
		if port != 0 || try == turnTries {
			return nil, fmt.Errorf("embedded turn: %w", err)
		}
	}
}

// URLs is the server as ICE_URLS has it, one URL a transport.
func (t *TURN) URLs() []string {
	at := t.udp.LocalAddr().String()
	return []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}
}

// Port is where the server listens.
func (t *TURN) Port() int {
	addr, ok := t.udp.LocalAddr().(*net.UDPAddr)
	if !ok {
		return 0
	}
	return addr.Port
}

// Run relays until ctx ends, for who has credentials of the TURN REST scheme
// (draft-uberti-behave-turn-rest) made with secret.
func (t *TURN) Run(ctx context.Context, secret string) error {
	// What goes wrong with one client is of use only when looking for a fault.
	logs := &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelInfo, Writer: turnLog{t.log}}
	relay := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(loopback), Address: loopback}
	toLoopback := func(_ net.Addr, peer net.IP) bool { return peer.IsLoopback() }
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:             "sup",
		AuthHandler:       turn.LongTermTURNRESTAuthHandler(secret, logs.NewLogger("turn")),
		LoggerFactory:     logs,
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: t.udp, RelayAddressGenerator: relay, PermissionHandler: toLoopback}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: t.tcp, RelayAddressGenerator: relay, PermissionHandler: toLoopback}},
	})
	if err != nil {
		return fmt.Errorf("embedded turn: %w", err)
	}
	<-ctx.Done()
	err = server.Close()
	t.tcp.leave()
	if err != nil {
		return fmt.Errorf("embedded turn: %w", err)
	}
	return nil
}

// Stop gives the port up where Run was never called; after it, it does nothing.
func (t *TURN) Stop() {
	_, _ = t.tcp.Close(), t.udp.Close()
}

// turnLog hands the server's lines to slog.
type turnLog struct{ log *slog.Logger }

func (l turnLog) Write(line []byte) (int, error) {
	l.log.Debug("turn server", "detail", strings.TrimSpace(string(line)))
	return len(line), nil
}

// guests are a listener's connections: the server does not close them itself.
type guests struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	left  bool
}

// guest takes itself off the list when it closes.
type guest struct {
	net.Conn
	of *guests
}

// Accept waits for the next connection.
func (g *guests) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	g.conns[conn] = struct{}{}
	return &guest{conn, g}, nil
}

// Close closes the connection.
func (c *guest) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (g *guests) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = true
	for conn := range g.conns {
		_ = conn.Close()
	}
}
