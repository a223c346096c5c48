package chat

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// natsDirVariable makes the test binary a NATS server with its store there: a
// process of its own, so that its CPU time is not counted as chat's.
const natsDirVariable = "CHAT_TEST_NATS_DIR"

func serveNATS(dir string) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start()
	if s.ReadyForConnections(10 * time.Second) {
		fmt.Println(s.ClientURL())
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	s.Shutdown()
	s.WaitForShutdown()
}

// natsProcess runs the server of serveNATS and gives its address and process.
func natsProcess(b *testing.B) (url string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), natsDirVariable+"="+b.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(line), cmd.Process.Pid
}

// cpu is the CPU time a process has used; 0 is this one.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	if pid == 0 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	var user, system int64
	rest := string(stat[bytes.LastIndexByte(stat, ')')+2:])
	fields := strings.Fields(rest)
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// redisCPU is the CPU time that Redis has used.
func redisCPU(b *testing.B, r *servicestest.Redis) (used time.Duration) {
	b.Helper()
	info, err := r.Client().Info(b.Context(), "cpu").Result()
	require.NoError(b, err)
	for line := range strings.Lines(info) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			s, err := strconv.ParseFloat(seconds, 64)
			require.NoError(b, err)
			used += time.Duration(s * float64(time.Second))
		}
	}
	return used
}

// BenchmarkSend is the whole of a send but the request's way through NATS and
// the ack: N senders, each in a chat of its own, every message with a tempId,
// 300 bytes of content. NATS and Redis run beside it on the same cores. It
// reports messages a second, and per message the CPU time of chat, NATS and Redis.
func BenchmarkSend(b *testing.B) {
	for _, chats := range []int{1, 16, 128, 512} {
		b.Run(fmt.Sprintf("chats=%d", chats), func(b *testing.B) { benchmarkSend(b, chats) })
	}
}

func benchmarkSend(b *testing.B, chats int) {
	url, pid := natsProcess(b)
	redis := servicestest.RunRedis(b)
	cfg := Config{ChatPolicy: PolicyOpen, CachedChats: 10000, SendWorkers: 512}
	cfg.Config = servicestest.Config(&servicestest.NATS{URL: url}, redis)
	cfg.StreamMaxBytes = 8 << 30
	host := servicestest.NewHostWith(b, "chat", cfg.Config)
	s, err := New(cfg, host)
	require.NoError(b, err)
	servicestest.Run(b, host, s)
	content := strings.Repeat("x", 300)
	send := func(chat, n int) {
		actor := proto.Actor{User: fmt.Sprintf("user-%d", chat), Device: "phone", Name: "A Name", Socket: "socket"}
		ctx := services.WithCall(b.Context(), &services.Call{Actor: actor, RequestID: "0123456789abcdef0123456789abcdef"})
		res, err := s.send(ctx, proto.SendMessageReq{ChatID: fmt.Sprintf("chat-%d", chat), EncryptedContent: content, TempID: fmt.Sprint(n)})
		if err != nil || res.Duplicate {
			b.Errorf("send: %v %v", res.Duplicate, err)
		}
		var ack [1024]byte
		_ = res.AppendAck(ack[:0])
	}
	for c := range chats {
		send(c, 0)
	}
	b.ResetTimer()
	own, nats, stored := cpu(b, 0), cpu(b, pid), redisCPU(b, redis)
	var n atomic.Int64
	var wg sync.WaitGroup
	for c := range chats {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) || b.Failed() {
					return
				}
				send(c, int(i))
			}
		})
	}
	wg.Wait()
	own, nats, stored = cpu(b, 0)-own, cpu(b, pid)-nats, redisCPU(b, redis)-stored
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(own.Microseconds())/float64(b.N), "chat-µs/msg")
	b.ReportMetric(float64(nats.Microseconds())/float64(b.N), "nats-µs/msg")
	b.ReportMetric(float64(stored.Microseconds())/float64(b.N), "redis-µs/msg")
	b.ReportMetric(float64(b.N)/own.Seconds(), "msg/chat-CPU-s")
}
