package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// target starts a system to measure; start may be called again for each run.
type target interface {
	start(ctx context.Context) (*system, error)
}

// mesh is SUP mesh as separate processes: redis-server, nats-server, chat,
// presence, signaling, reactions, notify and gateways, with a fresh log.
type mesh struct {
	redis, nats, gateway string            // programs
	owners               map[string]string // programs of the other services

	gateways int    // how many of them
	fsync    string // "" is nats-server's default
	env      []string
}

// owners are the services that own state, those that others ask first.
var owners = []string{"chat", "presence", "signaling", "reactions", "notify"}

func newMesh(ctx context.Context, b builder, o *Options) (*mesh, error) {
	m := &mesh{env: o.Env, gateways: max(1, o.gateways)}
	if o.Fsync == "always" {
		m.fsync = "always"
	}
	if o.GOGC != "" {
		m.env = append([]string{"GOGC=" + o.GOGC}, m.env...)
	}
	var err error
	if m.redis, err = installed("redis-server", "redis-server"); err != nil {
		return nil, err
	}
	if m.nats, err = b.program(ctx, "nats-server", "tools", natsServer); err != nil {
		return nil, err
	}
	m.owners = make(map[string]string, len(owners))
	for _, name := range owners {
		if m.owners[name], err = b.program(ctx, name, name, "./cmd/"+name); err != nil {
			return nil, err
		}
	}
	m.gateway, err = b.program(ctx, "gateway", "gateway", "./cmd/gateway")
	return m, err
}

func (m *mesh) start(ctx context.Context) (*system, error) {
	s, err := newSystem(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.processes(s); err != nil {
		return nil, fmt.Errorf("start the mesh: %w", joinStop(err, s))
	}
	return s, nil
}

func (m *mesh) processes(s *system) error {
	free, err := freeAddrs(s.ctx, 3+len(owners)+3*m.gateways)
	if err != nil {
		return err
	}
	redis, nats, monitor := free[0], free[1], free[2]
	s.redis = redis
	for i, name := range owners {
		s.metrics[name] = free[3+i]
	}

	if err := s.run("redis", nil, m.redis, "--bind", "127.0.0.1", "--port", port(redis), "--save", "", "--appendonly", "no"); err != nil {
		return err
	}
	conf := filepath.Join(s.dir, "nats.conf")
	if err := os.WriteFile(conf, []byte(m.natsConfig(nats, monitor, s.dir)), 0o600); err != nil {
		return fmt.Errorf("write nats config: %w", err)
	}
	if err := s.run("nats", nil, m.nats, "-c", conf); err != nil {
		return err
	}
	for _, addr := range []string{redis, nats} {
		if err := s.await(addr, listening(addr)); err != nil {
			return err
		}
	}
	env := append([]string{
		"NATS_URL=nats://" + nats, "NATS_MONITOR_URL=http://" + monitor, "REDIS_URL=redis://" + redis,
		"JWT_SECRET=" + jwtSecret, "ADMIN_TOKEN=" + adminToken,
		"HOST=127.0.0.1", "ADMIN_HOST=127.0.0.1", "METRICS_HOST=127.0.0.1", "PROVISION=true",
		// What is measured is the work, not the limits on it.
		"RATE_LIMITS=off", "RATE_LIMIT_MAX_CONNECTIONS=0", "MAX_CONNECTIONS_PER_USER=0", "MAX_CONNECTIONS_PER_ADDRESS=0", "ADMIT_RATE=100000", "DRAIN_RATE=100000", "DRAIN_NOTICE=10ms",
		"LOG_FORMAT=json", "LOG_LEVEL=warn",
	}, m.env...)
	for _, name := range owners {
		if err := s.service(name, m.owners[name], env); err != nil {
			return err
		}
	}
	for i := range m.gateways {
		if err := m.edge(s, i, free[3+len(owners)+3*i:][:3], env); err != nil {
			return err
		}
	}
	return nil
}

// service starts a program that has metrics, and waits until it is ready.
func (s *system) service(name, program string, env []string) error {
	addr := s.metrics[name]
	if err := s.run(name, append(slices.Clone(env), portFlag("METRICS_PORT", addr)), program); err != nil {
		return err
	}
	return s.await(name, answers200("http://"+addr+"/ready"))
}

// edge starts a gateway. Clients connect to the first, where a scenario does not
// say otherwise.
func (m *mesh) edge(s *system, i int, free, env []string) error {
	name, addr, admin := "gateway", free[0], free[1]
	if i > 0 {
		name = fmt.Sprint("gateway", i+1)
	} else {
		s.edge, s.addr, s.admin = name, addr, admin
	}
	s.edges = append(s.edges, edge{name, addr, admin})
	s.metrics[name] = free[2]
	if err := s.service(name, m.gateway, append(slices.Clone(env), portFlag("PORT", addr), portFlag("ADMIN_PORT", admin))); err != nil {
		return err
	}
	for _, addr := range []string{addr, admin} {
		if err := s.await(name+" at "+addr, listening(addr)); err != nil {
			return err
		}
	}
	return nil
}

// natsConfig is the shipped configuration without its ports and paths.
func (m *mesh) natsConfig(addr, monitor, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %q\nhttp: %q\nmax_payload: 256KB\nmax_pending: 32MB\nwrite_deadline: \"5s\"\nno_fast_producer_stall: true\n", addr, monitor)
	fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n  max_file_store: 64GB\n", filepath.Join(dir, "nats"))
	if m.fsync != "" {
		fmt.Fprintf(&b, "  sync_interval: %s\n", m.fsync)
	}
	b.WriteString("}\n")
	return b.String()
}

// stockSocketIO is the npm server in a single Node process.
type stockSocketIO struct{ node, dir string }

func newStockSocketIO(ctx context.Context, b builder) (*stockSocketIO, error) {
	node, err := installed("node", "nodejs")
	if err != nil {
		return nil, err
	}
	dir, err := b.baseline(ctx)
	return &stockSocketIO{node, dir}, err
}

func (t *stockSocketIO) start(ctx context.Context) (*system, error) {
	s, err := newSystem(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.processes(s); err != nil {
		return nil, fmt.Errorf("start the stock server: %w", joinStop(err, s))
	}
	return s, nil
}

func (t *stockSocketIO) processes(s *system) error {
	free, err := freeAddrs(s.ctx, 2)
	if err != nil {
		return err
	}
	s.edge, s.addr, s.admin = "node", free[0], free[1]
	env := []string{portFlag("PORT", s.addr), portFlag("ADMIN_PORT", s.admin), "JWT_SECRET=" + jwtSecret, "ADMIN_TOKEN=" + adminToken, "NODE_ENV=production"}
	if err := s.run("node", env, t.node, filepath.Join(t.dir, "server.js")); err != nil {
		return err
	}
	for _, addr := range free {
		if err := s.await(addr, listening(addr)); err != nil {
			return err
		}
	}
	return nil
}

// joinStop stops what was started so far; an error of that is told too.
func joinStop(err error, s *system) error {
	if stopErr := s.stop(); stopErr != nil {
		return fmt.Errorf("%w (and then: %w)", err, stopErr)
	}
	return err
}
