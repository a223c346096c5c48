package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"supmesh.dev/proto"
	"supmesh.dev/tools/ports"
)

// Secrets of the measured system, which is reachable from this machine only
// and gone after the run.
const (
	jwtSecret  = "bench-secret-of-at-least-32-bytes!!"
	adminToken = "bench-admin-token-0123456789abcdef"
)

// system is the measured system: its processes, and where they listen.
type system struct {
	dir      string
	children []*child
	edge     string            // name of the process that holds the sockets
	addr     string            // host:port for clients
	admin    string            // host:port of the admin API
	edges    []edge            // these, and of the gateways after the first
	redis    string            // host:port of Redis, "" where there is none
	metrics  map[string]string // host:port of the metrics, by process
	keep     bool              // leave dir behind
	ctx      context.Context   //nolint:containedctx // a lifetime: ends with the reason when a child dies; the lifetime of the processes
	cancel   context.CancelCauseFunc
}

// edge is one process that holds sockets.
type edge struct{ name, addr, admin string }

// newSystem makes an empty system with a directory of its own.
func newSystem(ctx context.Context) (*system, error) {
	dir, err := os.MkdirTemp("", "sup-bench-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	s := &system{dir: dir, metrics: map[string]string{}}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s, nil
}

func (s *system) run(name string, env []string, argv ...string) error {
	c, err := startChild(s.dir, name, env, s.cancel, argv...)
	if err != nil {
		return err
	}
	s.children = append(s.children, c)
	return nil
}

// kill ends one process as a machine that fails would, and forgets it.
func (s *system) kill(name string) error {
	at := slices.IndexFunc(s.children, func(c *child) bool { return c.name == name })
	if at < 0 {
		return fmt.Errorf("kill %s: no such process", name)
	}
	s.children[at].kill()
	s.children = slices.Delete(s.children, at, at+1)
	return nil
}

// stop ends the processes, last started first, and removes what they wrote.
func (s *system) stop() error {
	s.cancel(errors.New("stopped"))
	var errs []error
	for _, c := range slices.Backward(s.children) {
		errs = append(errs, c.stop())
	}
	if !s.keep {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// readyWithin is how long a process may take to start.
const readyWithin = 30 * time.Second

// await polls until check has no error, a child dies or time is up.
func (s *system) await(what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, readyWithin)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			// A child's death ends both contexts: the death is the reason.
			if s.ctx.Err() != nil {
				return context.Cause(s.ctx)
			}
			return fmt.Errorf("%s is not ready after %v: %w", what, readyWithin, err)
		case <-poll.C:
		}
	}
}

// listening is an await check: something accepts connections there.
func listening(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// answers200 is an await check: a GET is answered with 200.
func answers200(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // shown only with the status
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %s", url, res.Status, body)
		}
		return nil
	}
}

// chat is one chat to create.
type chat struct {
	id      string
	members []string
}

// createChats creates them through the admin API, a few at a time.
func (s *system) createChats(ctx context.Context, chats []chat) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(16)
	for _, c := range chats {
		work.Go(func() error { return s.createChat(ctx, client, c) })
	}
	return work.Wait()
}

func (s *system) createChat(ctx context.Context, client *http.Client, c chat) error {
	for part := range slices.Chunk(c.members, proto.MaxMembersPerRequest) {
		req := proto.PutChatReq{ChatID: c.id}
		for _, user := range part {
			req.Members = append(req.Members, proto.Member{UserID: user})
		}
		body, err := json.Marshal(req)
		if err != nil {
			return fmt.Errorf("create chat %s: %w", c.id, err)
		}
		put, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.admin+"/v1/chats/"+c.id, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("create chat %s: %w", c.id, err)
		}
		put.Header.Set("Authorization", "Bearer "+adminToken)
		put.Header.Set("Content-Type", "application/json")
		res, err := client.Do(put)
		if err != nil {
			return fmt.Errorf("create chat %s: %w", c.id, err)
		}
		answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		_ = res.Body.Close() // read to its end
		if err != nil || res.StatusCode/100 != 2 {
			return fmt.Errorf("create chat %s: %s: %.300s", c.id, res.Status, answer)
		}
	}
	return nil
}

// token is a day's token of a user.
func token(user string) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"userId": user, "type": "access", "name": user, "deviceId": "bench",
		"iat": now.Add(-time.Second).Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	})
	signed, err := t.SignedString([]byte(jwtSecret))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// freeAddrs finds n loopback addresses nobody listens on.
func freeAddrs(ctx context.Context, n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		port, err := ports.Free(ctx)
		if err != nil {
			return nil, err
		}
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return addrs, nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr) // an address of freeAddrs
	return p
}

// portFlag is name=<port of addr>, as an environment entry.
func portFlag(name, addr string) string { return name + "=" + port(addr) }

// checkDescriptors says early that the limit of this process is too low.
func checkDescriptors(limit uint64, connections int) error {
	if need := uint64(connections) + 200; limit < need {
		return fmt.Errorf("%d connections need %d descriptors in one process, and the limit is %s (ulimit -n)",
			connections, need, strconv.FormatUint(limit, 10))
	}
	return nil
}
