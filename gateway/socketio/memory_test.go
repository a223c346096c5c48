package socketio_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/socketio/internal/echo"
	"supmesh.dev/gateway/wsconn"
)

// quiet joins everyone and keeps nothing.
type quiet struct{ echo.Handler }

func (quiet) Connect(*socketio.Socket, []byte) ([]byte, error) { return nil, nil }
func (quiet) Connected(*socketio.Socket)                       {}

// TestMemoryPerClient bounds what one connected client costs in both packages together, without its websocket. It measures
// polling clients, which need more than websocket ones and no network.
func TestMemoryPerClient(t *testing.T) { //nolint:paralleltest // measures the heap
	const (
		clients = 5000
		limit   = 1200 // bytes
	)
	conns, err := wsconn.New(wsconn.Config{})
	require.NoError(t, err)
	engine := engineio.NewServer(engineio.Config{}, conns, socketio.NewServer(socketio.Config{}, quiet{}))
	request := func(method, query, body string) string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)")
		engine.ServeHTTP(w, r)
		return w.Body.String()
	}
	before := heap()
	for range clients {
		open := request(http.MethodGet, "", "")
		sid := "&sid=" + open[len(`0{"sid":"`):len(`0{"sid":"`)+22]
		require.Equal(t, "ok", request(http.MethodPost, sid, "40"))
		require.True(t, strings.HasPrefix(request(http.MethodGet, sid, ""), "40{"))
	}
	require.Equal(t, clients, engine.Len())
	each := (heap() - before) / clients
	t.Logf("%d bytes per client", each)
	require.Less(t, each, uint64(limit))
	runtime.KeepAlive(engine)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
