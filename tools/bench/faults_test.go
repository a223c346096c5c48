package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// faulty is a plain-profile server with one chat that can misbehave, to prove
// that the counting sees it.
type faulty struct {
	mu      sync.Mutex
	seq     uint64
	sockets map[*websocket.Conn]string
	fault   func(seq uint64, frame []byte) [][]byte // what a member is sent instead
	refuse  uint64                                  // refuses every nth message
	silent  uint64                                  // leaves every nth without ack
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		f.mu.Lock()
		f.seq = 0
		f.mu.Unlock()
		_, _ = fmt.Fprint(w, "{}")
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	f.mu.Lock()
	f.sockets[c] = r.Header.Get("Authorization")
	_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"event":"connected","data":{}}`))
	f.mu.Unlock()
	for {
		_, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		f.message(r.Context(), c, data)
	}
}

func (f *faulty) message(ctx context.Context, from *websocket.Conn, data []byte) {
	var in struct {
		Data proto.SendMessageReq
		Ack  uint64
	}
	_ = json.Unmarshal(data, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse > 0 && in.Ack%f.refuse == 0 {
		_ = from.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack":%d,"data":{"success":false,"code":"INTERNAL_ERROR"}}`, in.Ack))
		return
	}
	f.seq++
	event, _ := json.Marshal(proto.NewMessage{
		Message: proto.Message{
			ID: "msg_x", ChatID: in.Data.ChatID, SenderID: "someone", Seq: f.seq,
			EncryptedContent: in.Data.EncryptedContent, CreatedAt: proto.At(time.Now()),
		},
		Sender: proto.Sender{ID: "someone"},
	})
	frame := fmt.Appendf(nil, `{"event":"message:new","data":%s,"offset":"o"}`, event)
	for c := range f.sockets {
		if c != from {
			for _, out := range f.fault(f.seq, frame) {
				_ = c.Write(ctx, websocket.MessageText, out)
			}
		}
	}
	if f.silent == 0 || in.Ack%f.silent != 0 {
		_ = from.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack":%d,"data":{"success":true,"message":{"seq":%d}}}`, in.Ack, f.seq))
	}
}

// TestFaultsAreSeen runs a whole step against servers that lose, repeat, swap,
// refuse or change messages.
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	var kept []byte
	for _, c := range []struct {
		name  string
		setup func(*faulty)
		want  string
	}{
		{"none", func(*faulty) {}, ""},
		{"lost", func(f *faulty) {
			f.fault = func(seq uint64, frame []byte) [][]byte {
				if seq == 7 {
					return nil
				}
				return [][]byte{frame}
			}
		}, "3 deliveries missing"},
		{"repeated", func(f *faulty) {
			f.fault = func(seq uint64, frame []byte) [][]byte {
				if seq == 7 {
					return [][]byte{frame, frame}
				}
				return [][]byte{frame}
			}
		}, "deliveries repeated"},
		{"swapped", func(f *faulty) {
			f.fault = func(seq uint64, frame []byte) [][]byte {
				switch seq {
				case 7:
					kept = frame
					return nil
				case 8:
					return [][]byte{frame, kept}
				}
				return [][]byte{frame}
			}
		}, "deliveries out of order"},
		{"changed", func(f *faulty) {
			f.fault = func(_ uint64, frame []byte) [][]byte {
				return [][]byte{[]byte(strings.Replace(string(frame), `."`, `!"`, 1))}
			}
		}, "frames not as sent"},
		{"refused", func(f *faulty) { f.refuse = 5 }, "messages refused"},
		{"unanswered", func(f *faulty) { f.silent = 5 }, "messages without an ack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &faulty{sockets: map[*websocket.Conn]string{}, fault: func(_ uint64, frame []byte) [][]byte { return [][]byte{frame} }}
			c.setup(f)
			server := httptest.NewServer(f)
			defer server.Close()
			addr := strings.TrimPrefix(server.URL, "http://")
			s := &system{edge: self, addr: addr, admin: addr}
			b := &bench{options: &Options{Target: "mesh", Progress: io.Discard}, wire: plain{}}
			r, err := b.step(t.Context(), s, load{
				scenario: "fanout", chats: 1, members: 4, rate: 200, length: 100 * time.Millisecond,
				content: minContent, limit: maxLatency, giveUp: 300 * time.Millisecond,
			})
			require.NoError(t, err)
			if c.want == "" {
				require.Empty(t, problemsOf(r))
				acked, _ := r.value("decoded in full")
				require.Positive(t, acked)
				return
			}
			require.Contains(t, strings.Join(r.Problems, "; "), c.want)
		})
	}
}

func TestRefusedConnectIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	b := &bench{options: &Options{Target: "mesh", Progress: io.Discard}, wire: socketIO{}}
	_, err := b.step(t.Context(), &system{edge: self, addr: addr, admin: addr}, load{
		scenario: "pairs", chats: 3, members: 2, rate: 100, length: 50 * time.Millisecond, content: minContent, limit: maxLatency,
	})
	require.ErrorIs(t, err, errNotOpen)
	require.ErrorContains(t, err, "503")
}

// problemsOf is what a result names, but for this: whether the machine had time for the
// load tool is not what these tests try.
func problemsOf(r result) []string {
	return slices.DeleteFunc(slices.Clone(r.Problems), func(p string) bool { return strings.Contains(p, "had no CPU") })
}
