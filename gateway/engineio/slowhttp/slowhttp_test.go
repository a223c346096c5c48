package slowhttp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what should happen soon.
const patience = 30 * time.Second

// dial starts a guarded server and returns a client's connection to it.
func dial(t *testing.T, rule Rule, handler http.HandlerFunc) (net.Conn, *bufio.Reader) {
	t.Helper()
	server := httptest.NewServer(Guard(handler, rule))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn, bufio.NewReader(conn)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

// answer reads one response.
func answer(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	content, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.Status + " " + string(content)
}

// report answers with what it could read of the body.
func report(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "too slow", http.StatusRequestTimeout)
		return
	}
	_, _ = w.Write(content)
}

// A body that takes longer than Timeout and brings a Part in each is read, and the connection serves the next request.
func TestSteadyBodyIsRead(t *testing.T) {
	t.Parallel()
	conn, r := dial(t, Rule{Timeout: 3 * time.Second, Part: 16}, report)
	want := strings.Repeat("steady, ", 40)
	write(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 320\r\n\r\n")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for rest := want; rest != ""; rest = rest[8:] { // 4 s in all
		<-tick.C
		write(t, conn, rest[:8])
	}
	require.Equal(t, "200 OK "+want, answer(t, r))
	write(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nagain\r\n0\r\n\r\n")
	require.Equal(t, "200 OK again", answer(t, r))
}

// A body that stops, or drips, ends its request and its connection, whether the handler reads it or not.
func TestSlowBodyEnds(t *testing.T) {
	t.Parallel()
	ignore := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		head    string
		status  string
	}{
		"read":            {report, "Content-Length: 100000\r\n\r\n", "408"},
		"read in chunks":  {report, "Transfer-Encoding: chunked\r\n\r\n10000\r\n", "408"},
		"not read":        {ignore, "Content-Length: 100000\r\n\r\n", "401"},
		"not read, large": {ignore, "Content-Length: 1000000\r\n\r\n", "401"},
		"not read, GET":   {ignore, "Transfer-Encoding: chunked\r\n\r\n10000\r\n", "401"},
	} {
		for _, drip := range []string{"stops", "drips"} {
			t.Run(name+" "+drip, func(t *testing.T) {
				t.Parallel()
				conn, r := dial(t, Rule{Timeout: 300 * time.Millisecond, Part: 1000}, c.handler)
				method := "POST"
				if strings.HasSuffix(name, "GET") {
					method = "GET"
				}
				write(t, conn, method+" / HTTP/1.1\r\nHost: x\r\n"+c.head+"x")
				if drip == "drips" {
					stop := make(chan struct{})
					done := make(chan struct{})
					t.Cleanup(func() { close(stop); <-done })
					go func() {
						defer close(done)
						tick := time.NewTicker(20 * time.Millisecond)
						defer tick.Stop()
						for {
							select {
							case <-stop:
								return
							case <-tick.C:
							}
							if _, err := conn.Write([]byte("x")); err != nil {
								return
							}
						}
					}()
				}
				// A client that goes on writing may lose the answer to the reset that its bytes cause.
				content, err := io.ReadAll(r)
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection stays open")
				if err == nil && len(content) > 0 {
					require.Contains(t, string(content), "HTTP/1.1 "+c.status)
				}
			})
		}
	}
}

// What the handler does with a body it has read may take longer than Timeout: the deadline must not end the request's context.
func TestHandlerMayTakeItsTime(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	conn, r := dial(t, Rule{Timeout: timeout, Part: 1000}, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		select {
		case <-time.After(10 * timeout):
			_, _ = w.Write(content)
		case <-r.Context().Done():
			http.Error(w, "cancelled", http.StatusInternalServerError)
		}
	})
	write(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	require.Equal(t, "200 OK body", answer(t, r))
}

// recorder is a ResponseWriter that notes the deadline in force at each write.
type recorder struct {
	http.ResponseWriter

	deadline time.Time
	sizes    []int
	left     []time.Duration
}

func (r *recorder) SetWriteDeadline(at time.Time) error { r.deadline = at; return nil }

func (r *recorder) Write(p []byte) (int, error) {
	r.sizes = append(r.sizes, len(p))
	r.left = append(r.left, time.Until(r.deadline))
	r.deadline = time.Time{} // each part must set its own
	return len(p), nil
}

func TestWriteGivesEachPartItsTime(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	require.NoError(t, Write(r, make([]byte, 40<<10), time.Minute))
	require.Equal(t, []int{16 << 10, 16 << 10, 8 << 10}, r.sizes)
	for _, left := range r.left {
		require.Greater(t, left, 30*time.Second)
	}
	require.False(t, r.deadline.IsZero(), "what is buffered has its time too")
}

// A peer that takes nothing costs its connection, not a goroutine for ever.
func TestWriteToPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	conn, _ := dial(t, Rule{Timeout: time.Second, Part: 1}, func(w http.ResponseWriter, _ *http.Request) {
		failed <- Write(w, bytes.Repeat([]byte("x"), 64<<20), 100*time.Millisecond)
	})
	write(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-failed:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(patience):
		require.FailNow(t, "it still writes")
	}
}
