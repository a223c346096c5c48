package wsconn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The benchmarks put the clients into a process of their own, so that what is counted is the server alone. Run them with
//
//	go test -run '^$' -bench . ./wsconn

// peerVariable makes the test binary act as clients: "<address> <connections> <mode>".
const peerVariable = "WSCONN_BENCH_PEER"

// runPeer connects, then reads what comes every 20 ms, which costs little, until its standard input ends. In mode "once" each
// connection first writes a 300 byte message, in mode "send" they write 25,000 of them a second and read nothing.
func runPeer(arguments string) {
	var address, mode string
	var n int
	_, err := fmt.Sscan(arguments, &address, &n, &mode)
	exitOn(err)
	conns := make([]*net.TCPConn, n)
	for i := range conns {
		nc, err := net.Dial("tcp", address)
		exitOn(err)
		conns[i] = nc.(*net.TCPConn) //nolint:forcetypeassert // dialled as TCP
		_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		exitOn(err)
		response, err := http.ReadResponse(bufio.NewReaderSize(nc, 16), nil)
		exitOn(err)
		_ = response.Body.Close()
	}
	fmt.Println("connected")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	message := clientFrame(finBit|opText, bytes.Repeat([]byte("m"), 300))
	if mode == "once" {
		for _, nc := range conns {
			_, err := nc.Write(message)
			exitOn(err)
		}
	}
	if mode == "send" {
		i := 0
		for range time.Tick(8 * time.Millisecond) {
			for range 200 {
				_, err := conns[i%n].Write(message)
				exitOn(err)
				i++
			}
		}
	}
	buf := make([]byte, 1<<20)
	for range time.Tick(20 * time.Millisecond) {
		for _, nc := range conns {
			sc, err := nc.SyscallConn()
			exitOn(err)
			_ = sc.Control(func(fd uintptr) { _, _ = syscall.Read(int(fd), buf) }) // does not wait
		}
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startPeer connects n clients from another process.
func (e *edge) startPeer(n int, mode string) {
	e.t.Helper()
	peer := exec.Command(os.Args[0])
	peer.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", peerVariable, e.server.Listener.Addr(), n, mode))
	peer.Stderr = os.Stderr
	in, err := peer.StdinPipe()
	require.NoError(e.t, err)
	out, err := peer.StdoutPipe()
	require.NoError(e.t, err)
	require.NoError(e.t, peer.Start())
	e.t.Cleanup(func() {
		_ = in.Close()
		_ = peer.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(e.t, err)
	require.Equal(e.t, "connected\n", line)
	require.Eventually(e.t, func() bool { return e.engine.Stats().Connections == n }, wait, time.Millisecond)
}

func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// collect starts an edge with n benchmark clients and returns the server's connections.
func collect(b *testing.B, cfg Config, run bool, n int, mode string, h Handler) (*edge, []*Conn) {
	b.Helper()
	var mu sync.Mutex
	var conns []*Conn
	e := newEdge(b, cfg, false, func(c *Conn) Handler {
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		return h
	})
	if run {
		e.run()
	}
	e.startPeer(n, mode)
	return e, conns
}

// BenchmarkFanout sends 250 bytes to all of n connections, k frames before each flush, as the flushers
// themselves do it. One operation is one delivery.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1000, 8000} {
		for _, k := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("conns=%d/frames=%d", n, k), func(b *testing.B) {
				e, conns := collect(b, Config{MaxQueueBytes: 8 << 20}, false, n, "drain", discardEnd{})
				frame := Stamped(bytes.Repeat([]byte("x"), 250), 200, 1)
				for _, c := range conns {
					c.SetStamper(fixedStamp{})
				}
				before, cpu := e.engine.Stats(), cpuTime()
				b.ReportAllocs()
				b.ResetTimer()
				for sent := 0; sent < b.N; sent += n * k {
					var shards sync.WaitGroup
					for _, s := range e.engine.shards {
						shards.Go(func() {
							for _, c := range conns {
								for range k {
									if c.shard == s {
										_ = c.Send(frame)
									}
								}
							}
							for s.round() { // a flusher's loop, up to the point where it would sleep
								select {
								case <-s.wake:
								default:
								}
							}
						})
					}
					shards.Wait()
				}
				b.StopTimer()
				reportFanout(b, e, before, cpu)
			})
		}
	}
}

type fixedStamp struct{}

func (fixedStamp) Stamp(dst []byte, _ uint64) { copy(dst, "abcdefghijklmnopqrstuv") }

func reportFanout(b *testing.B, e *edge, before Stats, cpu time.Duration) {
	b.Helper()
	cpu = cpuTime() - cpu
	after := e.engine.Stats()
	frames, writes := float64(after.Frames-before.Frames), float64(after.Writes-before.Writes)
	b.ReportMetric(frames/cpu.Seconds(), "deliveries/cpu-s")
	b.ReportMetric(frames/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(frames/writes, "frames/write")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFanoutFloor is BenchmarkFanout without everything but the system call: what the kernel leaves to be won.
func BenchmarkFanoutFloor(b *testing.B) {
	for _, k := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("conns=1000/frames=%d", k), func(b *testing.B) {
			e, conns := collect(b, Config{}, false, 1000, "drain", discardEnd{})
			wire := bytes.Repeat(Text(bytes.Repeat([]byte("x"), 250)).wire, k)
			cpu := cpuTime()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += 1000 * k {
				var shards sync.WaitGroup
				for _, s := range e.engine.shards {
					shards.Go(func() {
						for _, c := range conns {
							if c.shard == s {
								_, _ = s.out.send(c.raw, wire)
							}
						}
						s.writes.Add(1000 / uint64(len(e.engine.shards)))
						s.frames.Add(1000 * uint64(k) / uint64(len(e.engine.shards)))
					})
				}
				shards.Wait()
			}
			b.StopTimer()
			reportFanout(b, e, Stats{}, cpu)
		})
	}
}

// BenchmarkStream is what an edge does under load: publishers that send frame by frame to all connections and do not wait,
// so that frames share a write only as far as the flushers fall behind.
func BenchmarkStream(b *testing.B) {
	for _, rate := range []int{50, 100, 200, 400} {
		b.Run(fmt.Sprintf("broadcasts=%d", rate), func(b *testing.B) {
			const n = 1000
			e, conns := collect(b, Config{}, true, n, "drain", discardEnd{})
			frame := Text(bytes.Repeat([]byte("x"), 250))
			before, cpu, began := e.engine.Stats(), cpuTime(), time.Now()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += n {
				for _, c := range conns {
					_ = c.Send(frame)
				}
				time.Sleep(time.Until(began.Add(time.Duration(sent/n) * time.Second / time.Duration(rate)))) //nolint:forbidigo // the publishers' pace is what is measured
			}
			b.StopTimer()
			reportFanout(b, e, before, cpu)
		})
	}
}

// BenchmarkInbound measures the server's cost of one 300 byte message, 25 thousand a second over 1,000 connections.
func BenchmarkInbound(b *testing.B) {
	for _, polled := range []bool{true, false} {
		b.Run(fmt.Sprintf("poller=%t", polled), func(b *testing.B) {
			h := &tally{}
			e, _ := collect(b, Config{Poller: polled}, true, 1000, "send", h)
			cpu, start := cpuTime(), h.load()
			b.ReportAllocs()
			b.ResetTimer()
			longest := wait + time.Duration(b.N)*time.Second/5000 // a fifth of the rate
			require.Eventually(b, func() bool { return h.load() >= start+b.N }, longest, 10*time.Millisecond, "messages do not come")
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(h.load()-start), "cpu-µs/message")
			_ = e
		})
	}
}

type tally struct {
	mu sync.Mutex
	n  int
}

func (t *tally) Message(*Conn, bool, []byte) {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
}

func (t *tally) Closed(*Conn, error) {}

func (t *tally) load() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// BenchmarkIdleMemory reports what one connection adds to the process: after the upgrade, and after it has sent and received.
func BenchmarkIdleMemory(b *testing.B) {
	const n = 8000
	for _, polled := range []bool{true, false} {
		b.Run(fmt.Sprintf("poller=%t", polled), func(b *testing.B) {
			for range b.N {
				settle()
				before := residentBytes(b)
				h := &tally{}
				e, conns := collect(b, Config{Poller: polled}, true, n, "once", h)
				require.Eventually(b, func() bool { return h.load() >= n }, 30*time.Second, time.Millisecond)
				frame := Text(bytes.Repeat([]byte("x"), 250))
				for _, c := range conns {
					_ = c.Send(frame)
				}
				require.Eventually(b, func() bool { return e.engine.Stats().Frames >= n }, wait, time.Millisecond)
				settle()
				b.ReportMetric(float64(residentBytes(b)-before)/n, "B/conn")
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/n, "heap-B/conn")
				b.ReportMetric(float64(m.StackInuse)/n, "stack-B/conn")
			}
		})
	}
}

func settle() {
	for range 3 {
		debug.FreeOSMemory()
	}
}

func residentBytes(b *testing.B) int {
	b.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	require.NoError(b, err)
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	require.NoError(b, err)
	return pages * os.Getpagesize()
}
