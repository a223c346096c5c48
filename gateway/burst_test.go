package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// An app that was offline sends all it has buffered in one POST: each event is carried out and acked, in order.
func TestBufferedEventsInOnePost(t *testing.T) {
	t.Parallel()
	const events = 5000
	for name, limits := range map[string]string{"carried out": "off", "over the limit": "message:new=30/60s"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := runMesh(t, func(c *Config) { c.RateLimits = limits })
			m.chat.add("c1", "ann")
			url := "http://" + m.addr + "/socket.io/?EIO=4&transport=polling"
			client := http.Client{Transport: &http.Transport{}}
			t.Cleanup(client.CloseIdleConnections)
			do := func(method, body string) string {
				req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
				require.NoError(t, err)
				res, err := client.Do(req)
				require.NoError(t, err)
				content, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, http.StatusOK, res.StatusCode, "%s", content)
				return string(content)
			}
			var hello struct{ SID string }
			require.NoError(t, json.Unmarshal([]byte(do(http.MethodGet, "")[1:]), &hello))
			url += "&sid=" + hello.SID
			require.Equal(t, "ok", do(http.MethodPost, `40{"token":"`+tokenFor(t, "ann", "", time.Hour)+`"}`))
			packets := make([]string, events)
			for i := range packets {
				packets[i] = fmt.Sprintf(`42%d["message:new",{"chatId":"c1","encryptedContent":"%d","tempId":"t%d"}]`, i, i, i)
			}
			posted := make(chan string, 1)
			go func() { posted <- do(http.MethodPost, strings.Join(packets, "\x1e")) }()
			next, seq := 0, uint64(0)
			for next < events {
				for packet := range strings.SplitSeq(do(http.MethodGet, ""), "\x1e") {
					head, data, isAck := strings.Cut(packet, "[")
					if !isAck || !strings.HasPrefix(head, "43") {
						require.NotContains(t, packet, `"error"`)
						continue
					}
					require.Equal(t, strconv.Itoa(next), head[2:], "acks come in order")
					next++
					var ack struct {
						Success bool
						Code    proto.Code
						Message json.RawMessage
					}
					require.NoError(t, json.Unmarshal([]byte(data[:len(data)-1]), &ack))
					if limits != "off" && !ack.Success {
						require.Equal(t, proto.RateLimitExceeded, ack.Code)
						continue
					}
					require.True(t, ack.Success, "%s", data)
					var stored struct{ Seq uint64 }
					require.NoError(t, json.Unmarshal(ack.Message, &stored))
					seq++
					require.Equal(t, seq, stored.Seq)
				}
			}
			require.Equal(t, "ok", <-posted)
			if limits == "off" {
				require.EqualValues(t, events, seq)
			} else {
				require.GreaterOrEqual(t, seq, uint64(30))
			}
		})
	}
}
