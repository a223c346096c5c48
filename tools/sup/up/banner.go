package up

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/gateway"
	"supmesh.dev/services"
	"supmesh.dev/tools/sup/datadir"
	"supmesh.dev/tools/sup/mint"
)

// Mesh says where a running mesh is.
type Mesh struct {
	ConsoleURL string // empty without a console
	GatewayURL string
	AdminURL   string
	ReadyURL   string
	NATSURL    string // of the embedded server; empty with a real one
	TURNURL    string // likewise
	DataDir    string
	Policy     string         // CHAT_POLICY
	Made       []datadir.File // secrets made by this start

	host, adminHost string
	gatewayPort     int
	jwtSecret       services.Secret
	embeddedRedis   bool
}

func describe(dir *datadir.Dir, g *ground, s *settings, metricsPort int) Mesh {
	m := Mesh{
		ReadyURL: address(s.gateway.MetricsHost, metricsPort) + "/ready",
		DataDir:  dir.Path(), Policy: s.chat.ChatPolicy, Made: s.made,
		host: s.gateway.Host, adminHost: s.gateway.AdminHost, jwtSecret: s.gateway.JWTSecret, embeddedRedis: g.redis != nil,
	}
	if g.nats != nil {
		m.NATSURL = g.nats.URL()
	}
	if g.turn != nil {
		m.TURNURL = g.turn.URLs()[0]
	}
	return m
}

// await waits until no part of any host is down or starting, and fills in
// where the gateway listens.
func (m *Mesh) await(ctx context.Context, edge *gateway.Service, hosts ...*services.Host) error {
	for _, l := range []struct {
		addr func(context.Context) (string, error)
		host string
		url  *string
		port *int
	}{
		{edge.Addr, m.host, &m.GatewayURL, &m.gatewayPort},
		{edge.AdminAddr, m.adminHost, &m.AdminURL, new(int)},
	} {
		addr, err := l.addr(ctx)
		if err != nil {
			return err
		}
		_, number, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("gateway listens at %q: %w", addr, err)
		}
		if *l.port, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("gateway listens at %q: %w", addr, err)
		}
		*l.url = address(l.host, *l.port)
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for slices.ContainsFunc(hosts, func(h *services.Host) bool { return h.Ready(ctx).State != services.OK }) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
	return nil
}

// address is a URL for people: localhost stands for every interface and for loopback.
func address(host string, port int) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// WebsocketURL is the address of the plain profile.
func (m Mesh) WebsocketURL() string {
	return "ws" + strings.TrimPrefix(m.GatewayURL, "http") + "/ws"
}

// Token is a token for the mesh; an error where its keys are not ours (JWKS_URL).
func (m Mesh) Token(user, device, name string, ttl time.Duration) (string, error) {
	return mint.Token(m.jwtSecret.Reveal(), user, device, name, ttl)
}

// Banner tells a person how to begin. program is how this one was called.
func (m Mesh) Banner(w io.Writer, program string) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s"+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintf(&b, "\nSUP mesh %s is up. Ctrl-C stops it.\n\n", services.Version)
	if m.ConsoleURL != "" {
		line("console", "%s", m.ConsoleURL)
	}
	line("gateway", "%s  (Socket.IO at /socket.io/, plain websocket at /ws)", m.GatewayURL)
	line("admin", "%s  (bearer token in %s/%s)", m.AdminURL, m.DataDir, datadir.AdminToken)
	line("health", "%s, /metrics", m.ReadyURL)
	if m.NATSURL != "" {
		line("NATS", "%s  (in this process; the log is in %s)", m.NATSURL, m.DataDir)
	} else {
		line("NATS", "the one of NATS_URL")
	}
	if m.embeddedRedis {
		line("Redis", "in this process, in memory: made again from the log at each start")
	} else {
		line("Redis", "the one of REDIS_URL")
	}
	switch {
	case m.TURNURL != "":
		line("calls", "%s relays media, also over TCP, on this machine only", m.TURNURL)
	case given("ICE_URLS"):
		line("calls", "media by the servers of ICE_URLS")
	default:
		line("calls", "no TURN server: media goes from client to client, or not at all")
	}
	if m.Policy == "open" {
		line("chats", "open to all: the first message or join makes a chat and a member (CHAT_POLICY=members for the real rule)")
	}
	for _, file := range m.Made {
		line("made", "%s/%s, since none was given", m.DataDir, file)
	}
	token, err := m.Token("alice", "", "Alice", 24*time.Hour)
	if err == nil {
		fmt.Fprintf(&b, "\nA token of alice, for a day:\n\n%s\n\nStock client (in tools/e2e/node, after `make deps`):\n\n", token)
		fmt.Fprintf(&b, `node -e 'const s=require("socket.io-client").io("%s",{auth:{token:process.argv[1]}});s.onAny(console.log);`+
			`s.on("connected",()=>s.emit("message:new",{chatId:"lobby",encryptedContent:"hello"},console.log))' %s`+"\n", m.GatewayURL, token)
		fmt.Fprintf(&b, "\nTerminal client:\n\n%s client --user bob --chat lobby --url %s --data-dir %s\n\n", program, m.WebsocketURL(), m.DataDir)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
