package bench

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// stage is how far a connection is.
type stage uint8

const (
	stageUpgrade stage = iota // waiting for the HTTP answer
	stageGreeting
	stageReady
	stageGone
)

// maxUnsent bounds what a connection keeps when its socket is full: more than
// that and the message counts as refused.
const maxUnsent = 1 << 20

// errStuck says that the server does not read what it is sent.
var errStuck = errors.New("server does not read: 1 MiB unsent")

// conn is one client connection. Everything but the write side belongs to its
// reader loop.
type conn struct {
	index int
	user  string
	chat  int // index of its chat in the plan, -1 for none
	token string
	pid   string // of the session that it returns to
	host  string
	stage stage
	part  []byte // an inbound frame that is not whole yet
	book  ledger

	mu     sync.Mutex // write side: the sender and the reader's answers
	fd     int        // -1 when closed
	unsent []byte
	armed  bool // waits for EPOLLOUT
}

// write sends one whole frame, or keeps what the socket does not take.
func (c *conn) write(ep int, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return unix.EPIPE
	}
	if len(c.unsent) > 0 {
		if len(c.unsent)+len(data) > maxUnsent {
			return errStuck
		}
		c.unsent = append(c.unsent, data...)
		return nil
	}
	n, err := unix.Write(c.fd, data)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	if n = max(n, 0); n < len(data) {
		c.unsent = append(c.unsent, data[n:]...)
		return c.arm(ep, true)
	}
	return nil
}

// flush writes what was kept; the socket has room again.
func (c *conn) flush(ep int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	if len(c.unsent) > 0 {
		n, err := unix.Write(c.fd, c.unsent)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		c.unsent = c.unsent[:copy(c.unsent, c.unsent[max(n, 0):])]
	}
	if len(c.unsent) == 0 {
		c.unsent = nil
		return c.arm(ep, false)
	}
	return nil
}

// arm sets whether the loop is told of room in the socket; c.mu is held.
func (c *conn) arm(ep int, out bool) error {
	if c.armed == out {
		return nil
	}
	c.armed = out
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.index)}
	if out {
		ev.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// close gives the descriptor back; closing it also takes it out of epoll.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
	c.unsent = nil
}

// open makes the socket and begins to connect, from the given loopback
// address: one address has only 28,000 ports to offer.
func (c *conn) open(ep int, from, to unix.SockaddrInet4, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fd = fd
	// The port is chosen at connect, where only the whole pair must be free.
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Bind(fd, &from); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Connect(fd, &to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	c.unsent, c.armed = request, true
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(c.index)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}
