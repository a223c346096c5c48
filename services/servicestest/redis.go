package servicestest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Redis is a redis-server process that a test may stop and start again. It
// keeps nothing on disk: a restart is empty.
type Redis struct {
	URL     string
	Addr    string
	Cluster bool
	t       testing.TB
	dir     string
	process *exec.Cmd
}

// RunRedis starts a redis-server on a free port. It stops with the test.
func RunRedis(t testing.TB) *Redis { t.Helper(); return runRedis(t, false) }

// RunRedisCluster starts a cluster of one node that owns every slot: it
// answers CROSSSLOT where a real cluster would.
func RunRedisCluster(t testing.TB) *Redis { t.Helper(); return runRedis(t, true) }

func runRedis(t testing.TB, cluster bool) *Redis {
	t.Helper()
	r := &Redis{t: t, Cluster: cluster, Addr: freeAddr(t), dir: t.TempDir()}
	r.URL = "redis://" + r.Addr
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// Start starts a stopped server again, on the same port.
func (r *Redis) Start() {
	r.t.Helper()
	binary, err := exec.LookPath("redis-server")
	require.NoError(r.t, err, "redis-server not found: apt-get install redis-server")
	host, port, err := net.SplitHostPort(r.Addr)
	require.NoError(r.t, err)
	args := []string{"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", r.dir, "--daemonize", "no"}
	if r.Cluster {
		n, err := strconv.Atoi(port)
		require.NoError(r.t, err)
		bus := freeAddr(r.t)
		_, busPort, err := net.SplitHostPort(bus)
		require.NoError(r.t, err)
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-config-file", "nodes-"+strconv.Itoa(n)+".conf")
	}
	log, err := os.Create(filepath.Join(r.dir, "redis.log"))
	require.NoError(r.t, err)
	defer log.Close()
	r.process = exec.Command(binary, args...)
	r.process.Stdout, r.process.Stderr = log, log
	require.NoError(r.t, r.process.Start())

	client := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1, DialTimeout: time.Second})
	defer client.Close()
	ctx := context.Background()
	Eventually(r.t, 10*time.Second, "redis-server answers", func() bool { return client.Ping(ctx).Err() == nil })
	if r.Cluster {
		if err := client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
			r.t.Logf("add slots: %v", err) // a restarted node knows them already
		}
		Eventually(r.t, 10*time.Second, "the one-node cluster is up", func() bool { return client.Set(ctx, "probe", "1", time.Second).Err() == nil })
	}
}

// Stop kills the server, as a crash would.
func (r *Redis) Stop() {
	if r.process == nil {
		return
	}
	if err := r.process.Process.Kill(); err != nil {
		r.t.Logf("kill redis-server: %v", err)
	}
	_ = r.process.Wait() // always an error: it was killed
	r.process = nil
}

// Client is a client for the test's own looks, closed with the test.
func (r *Redis) Client() redis.UniversalClient {
	r.t.Helper()
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{r.Addr}, IsClusterMode: r.Cluster, MaxRetries: -1, ContextTimeoutEnabled: true})
	r.t.Cleanup(func() { _ = client.Close() })
	return client
}

// FlushEach returns a function that several goroutines call behind each piece of work:
// every n-th call empties Redis, amid what the others do. The work goes on however slow
// the machine is, as it might not if Redis were emptied by the clock.
func (r *Redis) FlushEach(n int64) func() {
	client := r.Client()
	var calls atomic.Int64
	return func() {
		if calls.Add(1)%n != 0 {
			return
		}
		if err := client.FlushAll(context.Background()).Err(); err != nil {
			r.t.Errorf("flush: %v", err)
		}
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Pause stops the server's process without ending it: it hangs.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.t.Helper()
	require.NoError(r.t, r.process.Process.Signal(s))
}
