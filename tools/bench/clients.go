package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// handshakes is how many connections are being opened at any moment.
	handshakes = 128
	// sources is the number of loopback addresses clients come from.
	sources = 8
	// readyTimeout bounds one connection's way from connect to ready.
	readyTimeout = 20 * time.Second
)

// who is one client to connect.
type who struct {
	user, token string
	chat        int
	pid         string // of the session that it returns to, "" for a new one
}

// counter is told by the reader loop what came; it is called by that loop alone.
type counter interface {
	delivery(c *conn, body []byte, size int, now time.Time)
	ack(c *conn, p packet, now time.Time)
	event(c *conn, p packet, now time.Time)
	publish() // at the end of each round
}

// greeter is a counter that wants to know what the server greeted with.
type greeter interface {
	ready(c *conn, body []byte)
}

// clients are the connections of one step and the loop that reads them.
type clients struct {
	wire    wire
	conns   []atomic.Pointer[conn]
	counter counter

	ep      int
	pace    time.Duration // shortest time between two rounds of the loop
	every   time.Duration // between the openings of two connections, 0 for as fast as it goes
	slots   chan struct{} // handshakes under way
	ready   atomic.Int64
	ending  atomic.Bool // from here on a lost connection is no failure
	stopped atomic.Bool
	loop    sync.WaitGroup
	closing sync.Once

	lostMu sync.Mutex
	lost   int64
	first  error // why the first connection was lost
}

// newClients starts the reader loop; close ends it.
func newClients(w wire, n int, pace time.Duration, count counter) (*clients, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	cs := &clients{
		wire: w, conns: make([]atomic.Pointer[conn], n), counter: count, ep: ep, pace: pace,
		slots: make(chan struct{}, handshakes),
	}
	cs.loop.Go(cs.read)
	return cs, nil
}

// connect opens one connection for each of list and returns when all are
// ready, or with the first error.
func (cs *clients) connect(ctx context.Context, addr string, list []who) error {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return fmt.Errorf("address of the server: %w", err)
	}
	to := unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	start := time.Now()
	for i, w := range list {
		for due := time.Duration(i) * cs.every; time.Since(start) < due; {
			sleepUntil(start, due)
		}
		wait := time.NewTimer(readyTimeout)
		select {
		case cs.slots <- struct{}{}:
			wait.Stop()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wait.C:
			return cs.late(i)
		}
		if err := cs.lostError(); err != nil {
			return err
		}
		c := &conn{index: i, user: w.user, chat: w.chat, token: w.token, pid: w.pid, host: addr, fd: -1}
		cs.conns[i].Store(c)
		from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%sources)}}
		if err := c.open(cs.ep, from, to, cs.wire.upgrade(addr, w.token, w.pid)); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	for deadline := time.Now().Add(readyTimeout); int(cs.ready.Load()) < len(list); {
		if err := cs.lostError(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return cs.late(len(list))
		}
		sleepUntil(time.Now(), time.Millisecond)
	}
	return nil
}

func (cs *clients) late(opened int) error {
	return fmt.Errorf("%d of %d connections are not ready after %v", opened-int(cs.ready.Load()), opened, readyTimeout)
}

// read is the reader loop: one round takes what every readable socket holds.
func (cs *clients) read() {
	events := make([]unix.EpollEvent, 4096)
	buf := make([]byte, 256<<10)
	for !cs.stopped.Load() {
		began := time.Now()
		n, err := unix.EpollWait(cs.ep, events, 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			cs.lose(nil, fmt.Errorf("epoll: %w", err))
			return
		}
		for _, ev := range events[:max(n, 0)] {
			c := cs.conns[ev.Fd].Load()
			if c.stage == stageGone {
				continue
			}
			if ev.Events&unix.EPOLLOUT != 0 {
				if err := c.flush(cs.ep); err != nil {
					cs.lose(c, err)
					continue
				}
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				if err := cs.receive(c, buf); err != nil {
					cs.lose(c, err)
				}
			}
		}
		cs.counter.publish()
		if cs.pace > 0 && n > 0 {
			sleepUntil(began, cs.pace)
		}
	}
}

// errClosed is the end of a connection that the server closed.
var errClosed = errors.New("closed by the server")

// receive reads once and handles every whole frame.
func (cs *clients) receive(c *conn, buf []byte) error {
	kept := copy(buf, c.part)
	n, err := unix.Read(c.fd, buf[kept:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errClosed
	}
	data := buf[:kept+n]
	now := time.Now()
	if c.stage == stageUpgrade {
		n, err := openResponse(data)
		if err != nil {
			return err
		}
		if n > 0 {
			c.stage = stageGreeting
			if hello := cs.wire.hello(c.token, c.pid); hello != nil {
				if err := c.write(cs.ep, appendFrame(nil, opText, hello)); err != nil {
					return err
				}
			}
		}
		data = data[n:]
	}
	for c.stage != stageUpgrade {
		f, n, err := nextFrame(data)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := cs.handle(c, f, now); err != nil {
			return err
		}
		data = data[n:]
	}
	if len(data) == len(buf) {
		return fmt.Errorf("frame over %d bytes", len(buf))
	}
	c.part = append(c.part[:0], data...)
	return nil
}

// handle counts one frame, or answers it.
func (cs *clients) handle(c *conn, f frame, now time.Time) error {
	switch f.op {
	case opPing:
		return c.write(cs.ep, appendFrame(nil, opPong, f.payload))
	case opClose:
		return fmt.Errorf("%w: close frame %q", errClosed, f.payload)
	case opText:
	default:
		return nil
	}
	p := cs.wire.classify(f.payload)
	switch p.kind {
	case kindMessage:
		cs.counter.delivery(c, p.body, len(f.payload), now)
	case kindAck:
		cs.counter.ack(c, p, now)
	case kindEvent:
		cs.counter.event(c, p, now)
	case kindHeartbeat:
		return c.write(cs.ep, appendFrame(nil, opText, []byte("3")))
	case kindRefused:
		return fmt.Errorf("%w: %.300q", errClosed, p.body)
	case kindReady:
		if c.stage == stageGreeting {
			c.stage = stageReady
			c.token, c.host = "", ""
			if g, ok := cs.counter.(greeter); ok {
				g.ready(c, p.body)
			}
			cs.ready.Add(1)
			<-cs.slots
		}
	case kindOther:
		if c.stage == stageGreeting {
			if reply := cs.wire.greeting(f.payload, c.token, c.pid); reply != nil {
				return c.write(cs.ep, appendFrame(nil, opText, reply))
			}
		}
	}
	return nil
}

// lose closes a connection and keeps the first reason.
func (cs *clients) lose(c *conn, why error) {
	if c != nil {
		if c.stage == stageUpgrade || c.stage == stageGreeting {
			<-cs.slots
		}
		c.stage = stageGone
		c.close()
		why = fmt.Errorf("client %s: %w", c.user, why)
	}
	if cs.ending.Load() {
		return
	}
	cs.lostMu.Lock()
	defer cs.lostMu.Unlock()
	cs.lost++
	if cs.first == nil {
		cs.first = why
	}
}

// lostError is the first loss, nil while every connection is there.
func (cs *clients) lostError() error {
	cs.lostMu.Lock()
	defer cs.lostMu.Unlock()
	if cs.first == nil {
		return nil
	}
	return fmt.Errorf("%d connections lost, the first: %w", cs.lost, cs.first)
}

// close ends the loop and every connection; again is fine.
func (cs *clients) close() { cs.closing.Do(cs.end) }

func (cs *clients) end() {
	cs.ending.Store(true)
	cs.stopped.Store(true)
	cs.loop.Wait()
	for i := range cs.conns {
		if c := cs.conns[i].Load(); c != nil {
			c.close()
		}
	}
	_ = unix.Close(cs.ep)
}
