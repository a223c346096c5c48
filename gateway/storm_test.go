package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest"
)

const (
	stormRate   = 40 // ADMIT_RATE
	stormHonest = 50 // honest clients, 20 a second
	stormEvery  = 50 * time.Millisecond
	stormSlack  = 24 // workers and pooled connections to Redis that the chassis keeps after a load
)

// storm connects from one address as fast as the gateway answers, until stop is closed. Every refused
// connection must be closed by the gateway.
type storm struct {
	addr   string
	source string                  // the address it comes from
	header func(*rand.Rand) string // more header lines
	tried  atomic.Int64            //
	taken  atomic.Int64            // handshakes that were accepted
	failed atomic.Pointer[error]   // the first thing that went wrong
	stop   chan struct{}           //
	wg     sync.WaitGroup          //
}

func dialerFrom(source string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
}

func (s *storm) start(workers int) {
	s.stop = make(chan struct{})
	for i := range workers {
		s.wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				select {
				case <-s.stop:
					return
				default:
				}
				if err := s.connect(random); err != nil {
					s.failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
}

func (s *storm) connect(random *rand.Rand) error {
	conn, err := dialerFrom(s.source).Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n"+s.header(random)+"\r\n"); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	s.tried.Add(1)
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusOK:
		s.taken.Add(1)
		return nil
	case res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "":
		return fmt.Errorf("status %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("a refused connection stays open: %w", err)
	}
	return nil
}

// dialFrom is dial from another address of this machine. It returns the error of the handshake.
func (m *mesh) dialFrom(source, path string, header http.Header) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{DialContext: dialerFrom(source).DialContext}
	defer transport.CloseIdleConnections()
	conn, res, err := websocket.Dial(ctx, "ws://"+m.addr+path, &websocket.DialOptions{
		HTTPHeader: header, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil && res != nil {
		_ = res.Body.Close()
	}
	return conn, err
}

// descriptors returns how many files and sockets this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// TestOneAddressCannotShutOutOthers: one address connects as fast as it can, far over ADMIT_RATE,
// while honest clients connect from other addresses. Nearly all of these are accepted at the first
// try, and what the storm opened is closed.
//
// It is not parallel: it counts the descriptors and goroutines of the process.
func TestOneAddressCannotShutOutOthers(t *testing.T) { //nolint:paralleltest // counts the descriptors of the process
	for _, row := range []struct {
		name    string
		trusted []string
		attack  func(*rand.Rand) string // header lines of the storm
		honest  func(i int) (source string, header http.Header)
	}{
		{
			name:   "directly",
			attack: func(*rand.Rand) string { return "" },
			honest: func(i int) (string, http.Header) { return fmt.Sprintf("127.0.1.%d", i+1), nil },
		},
		{
			name: "as if through a proxy",
			attack: func(r *rand.Rand) string {
				return fmt.Sprintf("X-Forwarded-For: 198.51.%d.%d\r\n", r.IntN(256), r.IntN(256))
			},
			honest: func(i int) (string, http.Header) { return fmt.Sprintf("127.0.1.%d", i+1), nil },
		},
		{
			name:    "through a trusted proxy",
			trusted: []string{"127.0.0.0/24"},
			attack: func(r *rand.Rand) string {
				return fmt.Sprintf("X-Forwarded-For: 198.51.%d.%d, 203.0.113.9\r\n", r.IntN(256), r.IntN(256))
			},
			honest: func(i int) (string, http.Header) {
				return "127.0.0.66", http.Header{"X-Forwarded-For": {fmt.Sprintf("192.0.2.%d", i+1)}}
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := runMesh(t, func(c *Config) {
				c.AdmitRate, c.TrustedProxies = stormRate, row.trusted
			})
			connect := func(i int) error {
				source, header := row.honest(i)
				socket := i%2 == 0
				path := "/ws"
				if socket {
					path = "/socket.io/?EIO=4&transport=websocket"
				}
				conn, err := m.dialFrom(source, path, header)
				if err != nil {
					return err
				}
				c := m.newClient(conn, socket)
				auth := `{"token":"` + tokenFor(t, fmt.Sprint("u", i), "", time.Hour) + `"}`
				if socket {
					c.write("40" + auth)
				} else {
					c.write(`{"event":"auth","data":` + auth + `}`)
				}
				c.greeted()
				require.NoError(t, c.conn.CloseNow())
				<-c.ended
				return nil
			}
			idle := func() bool { return len(m.svc.hub.everyone()) == 0 }
			require.NoError(t, connect(0)) // what is made once is made now
			servicestest.Eventually(t, patience, "the first client has left", idle)
			files, goroutines := descriptors(t), runtime.NumGoroutine()

			s := &storm{addr: m.addr, source: "127.0.0.66", header: row.attack}
			began := time.Now()
			s.start(8)
			servicestest.Eventually(t, patience, "the bucket is used up", func() bool { return s.tried.Load() > 2*stormRate })
			passed := 0
			tick := time.NewTicker(stormEvery)
			defer tick.Stop()
			for i := range stormHonest {
				<-tick.C
				if err := connect(i); err == nil {
					passed++
				}
			}
			close(s.stop)
			s.wg.Wait()
			took := time.Since(began)
			t.Logf("the storm tried %.0f × ADMIT_RATE and got %d of %d; honest clients got %d of %d",
				float64(s.tried.Load())/took.Seconds()/stormRate, s.taken.Load(), s.tried.Load(), passed, stormHonest)
			if err := s.failed.Load(); err != nil {
				require.NoError(t, *err)
			}
			require.GreaterOrEqual(t, passed*100, stormHonest*99)
			require.Greater(t, s.tried.Load()-s.taken.Load(), int64(10*stormSlack))
			servicestest.Eventually(t, patience, "descriptors and goroutines are back", func() bool {
				return idle() && descriptors(t) <= files+stormSlack && runtime.NumGoroutine() <= goroutines+stormSlack
			})
		})
	}
}
