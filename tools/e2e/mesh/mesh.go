package mesh

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Secrets of the test mesh: made up, and used nowhere else.
const (
	Secret     = "end-to-end-secret-of-at-least-32-bytes"
	AdminToken = "end-to-end-admin-token"
)

// Options say what a mesh is made of.
type Options struct {
	Gateways int               // 1 by default
	Chats    int               // 1 by default
	Presence int               // instances of presence, 1 by default
	Calls    int               // instances of signaling, 1 by default
	Reacts   int               // instances of reactions, 1 by default
	Notify   int               // instances of notify, 1 by default
	Nodes    int               // NATS servers, 1 by default; each stream has a copy on each of them
	Env      map[string]string // on top of the defaults, for every service
}

// Mesh is a running mesh of separate processes.
type Mesh struct {
	Dir      string
	NATSURL  string // of every node, separated by commas
	RedisURL string
	NATS     *Process   // the first node
	Nodes    []*Process // every node, the first one included
	Redis    *Process
	Chats    []*Process
	Presence []*Process
	Calls    []*Process // signaling
	Reacts   []*Process // reactions
	Notify   []*Process
	Gateways []*Gateway

	opts      Options
	redisPort int
	natsPorts []int
	routes    []int // ports between the nodes, where there are several
}

// Gateway is one gateway process with its addresses.
type Gateway struct {
	*Process
	URL      string // http://127.0.0.1:…
	AdminURL string
	ports    [3]int
	name     string
}

// Start runs redis-server, nats-server, chat, presence, signaling, reactions, notify and gateways as processes of their own and waits until all are ready.
func Start(t testing.TB, opts Options) *Mesh {
	t.Helper()
	opts.Gateways, opts.Chats, opts.Presence = max(1, opts.Gateways), max(1, opts.Chats), max(1, opts.Presence)
	opts.Calls, opts.Reacts, opts.Notify, opts.Nodes = max(1, opts.Calls), max(1, opts.Reacts), max(1, opts.Notify), max(1, opts.Nodes)
	m := &Mesh{Dir: t.TempDir(), opts: opts, redisPort: freePort(t), Nodes: make([]*Process, opts.Nodes)}
	var urls []string
	for range opts.Nodes {
		m.natsPorts, m.routes = append(m.natsPorts, freePort(t)), append(m.routes, freePort(t))
		urls = append(urls, "nats://"+addr(m.natsPorts[len(urls)]))
	}
	m.NATSURL = strings.Join(urls, ",")
	m.RedisURL = "redis://" + addr(m.redisPort)
	m.StartRedis(t)
	m.StartNATS(t)
	for i := range opts.Chats {
		m.Chats = append(m.Chats, m.startService(t, "chat", i))
	}
	for i := range opts.Presence {
		m.Presence = append(m.Presence, m.startService(t, "presence", i))
	}
	for i := range opts.Calls {
		m.Calls = append(m.Calls, m.startService(t, "signaling", i))
	}
	for i := range opts.Reacts {
		m.Reacts = append(m.Reacts, m.startService(t, "reactions", i))
	}
	for i := range opts.Notify {
		m.Notify = append(m.Notify, m.startService(t, "notify", i))
	}
	for i := range opts.Gateways {
		g := &Gateway{name: fmt.Sprintf("gateway-%d", i), ports: [3]int{freePort(t), freePort(t), freePort(t)}}
		g.URL, g.AdminURL = "http://"+addr(g.ports[0]), "http://"+addr(g.ports[1])
		m.Gateways = append(m.Gateways, g)
		m.StartGateway(t, i)
	}
	return m
}

// StartRedis starts redis-server, again after it was killed. It keeps nothing on disk: the log must be enough.
func (m *Mesh) StartRedis(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "redis-server is missing: run make deps")
	m.Redis = start(t, "redis", nil, path, "--port", fmt.Sprint(m.redisPort), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", m.Dir)
	client := redis.NewClient(&redis.Options{Addr: addr(m.redisPort)})
	defer client.Close()
	Eventually(t, 10*time.Second, "redis answers", func() bool { return client.Ping(t.Context()).Err() == nil })
}

// FlushRedis takes everything from Redis while it runs.
func (m *Mesh) FlushRedis(t testing.TB) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr(m.redisPort)})
	defer client.Close()
	require.NoError(t, client.FlushAll(t.Context()).Err())
}

// StartNATS starts every nats-server, with JetStream files in the mesh's folder, again after they were killed.
func (m *Mesh) StartNATS(t testing.TB) {
	t.Helper()
	for i := range m.Nodes {
		m.Nodes[i] = m.startNode(t, i)
	}
	m.NATS = m.Nodes[0]
	for _, port := range m.natsPorts {
		Eventually(t, 30*time.Second, "nats-server listens", func() bool { return listens(port) })
	}
}

func (m *Mesh) startNode(t testing.TB, i int) *Process {
	t.Helper()
	name := fmt.Sprint("nats-", i)
	text := fmt.Sprintf("server_name: %q\nlisten: %q\nmax_payload: 256KB\njetstream { store_dir: %q, max_file_store: 8GB }\n",
		name, addr(m.natsPorts[i]), filepath.Join(m.Dir, name))
	if len(m.Nodes) > 1 {
		var routes []string
		for _, port := range m.routes {
			routes = append(routes, fmt.Sprintf("%q", "nats://"+addr(port)))
		}
		text += fmt.Sprintf("cluster { name: mesh, listen: %q, routes: [%s] }\n", addr(m.routes[i]), strings.Join(routes, ", "))
	}
	conf := filepath.Join(m.Dir, name+".conf")
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	return start(t, name, nil, Binary(t, "nats-server"), "-c", conf)
}

// StartGateway starts gateway i at its addresses, again after it was killed, and waits until it is ready.
func (m *Mesh) StartGateway(t testing.TB, i int) {
	t.Helper()
	m.LaunchGateway(t, i)
	waitReady(t, m.Gateways[i].name, m.Gateways[i].ports[2])
}

// LaunchGateway is StartGateway without the wait.
func (m *Mesh) LaunchGateway(t testing.TB, i int) {
	t.Helper()
	g := m.Gateways[i]
	g.Process = start(t, g.name, m.env(map[string]string{
		"PORT": fmt.Sprint(g.ports[0]), "ADMIN_PORT": fmt.Sprint(g.ports[1]), "METRICS_PORT": fmt.Sprint(g.ports[2]),
		"JWT_SECRET": Secret, "ADMIN_TOKEN": AdminToken, "INSTANCE_ID": g.name,
	}), Binary(t, "gateway"))
}

// StartChat starts chat instance i again after it was killed.
func (m *Mesh) StartChat(t testing.TB, i int) { t.Helper(); m.Chats[i] = m.startService(t, "chat", i) }

// StartPresence starts presence instance i again after it was killed.
func (m *Mesh) StartPresence(t testing.TB, i int) {
	t.Helper()
	m.Presence[i] = m.startService(t, "presence", i)
}

// StartCalls starts signaling instance i again after it was killed.
func (m *Mesh) StartCalls(t testing.TB, i int) {
	t.Helper()
	m.Calls[i] = m.startService(t, "signaling", i)
}

// StartReacts starts reactions instance i again after it was killed.
func (m *Mesh) StartReacts(t testing.TB, i int) {
	t.Helper()
	m.Reacts[i] = m.startService(t, "reactions", i)
}

// StartNotify starts notify instance i again after it was killed.
func (m *Mesh) StartNotify(t testing.TB, i int) {
	t.Helper()
	m.Notify[i] = m.startService(t, "notify", i)
}

func (m *Mesh) startService(t testing.TB, service string, i int) *Process {
	t.Helper()
	port, name := freePort(t), fmt.Sprintf("%s-%d", service, i)
	p := start(t, name, m.env(map[string]string{"METRICS_PORT": fmt.Sprint(port), "INSTANCE_ID": name, "PROVISION": "true"}), Binary(t, service))
	waitReady(t, name, port)
	return p
}

// KillAll ends every process at once, as a machine that loses its kernel would.
func (m *Mesh) KillAll() {
	for _, g := range m.Gateways {
		g.Kill()
	}
	for _, p := range slices.Concat(m.Calls, m.Reacts, m.Notify, m.Presence) {
		p.Kill()
	}
	for _, c := range m.Chats {
		c.Kill()
	}
	for _, n := range m.Nodes {
		n.Kill()
	}
	m.Redis.Kill()
}

// StartAll starts everything again after KillAll.
func (m *Mesh) StartAll(t testing.TB) {
	t.Helper()
	m.StartRedis(t)
	m.StartNATS(t)
	for i := range m.Chats {
		m.StartChat(t, i)
	}
	for i := range m.Presence {
		m.StartPresence(t, i)
	}
	for i := range m.Reacts {
		m.StartReacts(t, i)
	}
	for i := range m.Notify {
		m.StartNotify(t, i)
	}
	for i := range m.Calls {
		m.StartCalls(t, i)
	}
	for i := range m.Gateways {
		m.StartGateway(t, i)
	}
}

func (m *Mesh) env(own map[string]string) []string {
	all := map[string]string{
		"NATS_URL": m.NATSURL, "REDIS_URL": m.RedisURL, "LOG_FORMAT": "json", "LOG_LEVEL": "info", "RATE_LIMITS": "off",
		"RATE_LIMIT_MAX_CONNECTIONS": "0", "MAX_CONNECTIONS_PER_USER": "0", "STREAM_MAX_BYTES": fmt.Sprint(1 << 30),
		"STREAM_REPLICAS": fmt.Sprint(len(m.Nodes)),
	}
	for _, set := range []map[string]string{own, m.opts.Env} {
		maps.Copy(all, set)
	}
	env := make([]string, 0, len(all))
	for k, v := range all {
		env = append(env, k+"="+v)
	}
	return env
}

func waitReady(t testing.TB, name string, port int) {
	t.Helper()
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	Eventually(t, 30*time.Second, name+" is ready", func() bool {
		res, err := client.Get("http://" + addr(port) + "/ready")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}
