package wsconn

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lastWords takes messages. At the first one it writes until the socket fails, as a server
// does whose answers meet a peer that has closed already.
type lastWords struct {
	echo
	gone chan struct{} // closed when the peer has closed its socket
	got  []string
}

func (l *lastWords) Message(c *Conn, _ bool, data []byte) {
	name, _, _ := strings.Cut(string(data), " ")
	if l.got = append(l.got, name); len(l.got) > 1 {
		return
	}
	<-l.gone
	for end := time.Now().Add(wait); !errors.Is(c.Send(Text([]byte("an answer"))), ErrClosed) && time.Now().Before(end); {
		time.Sleep(time.Millisecond) //nolint:forbidigo // the pace of a writer, which no event can stand for
	}
}

// TestPeerThatClosesIsReadToTheEnd: what a peer sent before it closed its socket is handed
// over, also when an answer to the first message has met the closed socket meanwhile.
func TestPeerThatClosesIsReadToTheEnd(t *testing.T) {
	t.Parallel()
	const messages = 8 // few enough for the socket buffer: what the kernel has not received is lost
	everyVariant(t, func(t *testing.T, start startFunc) {
		t.Parallel()
		h := &lastWords{echo: newEcho(), gone: make(chan struct{})}
		e := start(Config{}, always(h))
		client := e.dialRaw()
		var want []string
		for i := range messages { // more than one buffer of the reader
			want = append(want, strconv.Itoa(i))
			client.write(clientFrame(finBit|opText, []byte(strconv.Itoa(i)+" "+strings.Repeat("x", 2000))))
		}
		require.NoError(t, client.Close())
		close(h.gone)
		require.Error(t, h.why(t))
		require.Equal(t, want, h.got)
		e.waitEmpty()
	})
}
