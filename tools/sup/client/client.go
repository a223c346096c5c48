package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Options say who connects where.
type Options struct {
	URL   string // ws:// or wss:// address of the plain profile
	Token string // access token
	Chat  string // chat to open first; empty for none
}

// Reconnects wait between these, growing and spread out.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 5 * time.Second
)

// errStop ends the client well.
var errStop = errors.New("stop")

// Run connects, shows what comes and sends the lines of in, until /quit, the
// end of in with nothing pending, ctx's end, or a refusal that no reconnect
// would mend; only the last is an error. A reader of in that never returns
// keeps one goroutine until it does.
func Run(ctx context.Context, opts Options, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &client{opts: opts, screen: &screen{out: out}, chat: opts.Chat, waiting: map[uint64]request{}, shown: map[string]uint64{}}
	lines := readLines(ctx, in)
	wait := firstWait
	for {
		began := time.Now()
		err := c.session(ctx, &lines)
		switch {
		case errors.Is(err, errStop), ctx.Err() != nil:
			return nil
		case !comesBack(err):
			return err
		}
		if time.Since(began) > lastWait {
			wait = firstWait
		}
		c.screen.linef("* disconnected: %s; coming back", clean(err.Error()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, lastWait)
	}
}

// readLines hands lines over until in ends or ctx does; the channel is closed then.
func readLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(in)
		scan.Buffer(nil, 256<<10)
		for scan.Scan() {
			select {
			case lines <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// refusal is an answer to the handshake that trying again does not change.
type refusal struct{ status int }

func (r *refusal) Error() string {
	return fmt.Sprintf("the server refused the connection: %d %s", r.status, http.StatusText(r.status))
}

func dial(ctx context.Context, opts Options) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, opts.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + opts.Token}}}) //nolint:bodyclose // the library closes it
	if err != nil {
		if res != nil && res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
			return nil, &refusal{res.StatusCode}
		}
		return nil, fmt.Errorf("connect to %s: %w", opts.URL, err)
	}
	conn.SetReadLimit(maxFrame)
	return conn, nil
}

// comesBack says whether another connection may do better (CONTRACT §2).
func comesBack(err error) bool {
	if _, refused := errors.AsType[*refusal](err); refused {
		return false
	}
	code := websocket.CloseStatus(err)
	return code < 4500 && code != websocket.StatusUnsupportedData && code != websocket.StatusInvalidFramePayloadData && code != websocket.StatusMessageTooBig
}
