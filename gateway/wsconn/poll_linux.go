package wsconn

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// pollEvents is how many events one system call returns.
	pollEvents = 256
	// idleWorkers is how many readers without work are kept with their stacks.
	idleWorkers = 32
)

// poller waits for the idle connections. It is an epoll of its own which in turn waits in the runtime's, so that no thread
// blocks in it. Watches are edge-triggered and never changed: Conn.reading remembers an edge that comes while the connection
// is being read, which costs no system call, unlike re-arming.
type poller struct {
	engine  *Engine
	file    *os.File // the epoll descriptor
	raw     syscall.RawConn
	work    chan *Conn
	done    chan struct{}
	waiting atomic.Int32 // idle workers
}

func newPoller(e *Engine) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // tells os.NewFile that it can be polled
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make epoll non-blocking: %w", err)
	}
	p := &poller{
		engine: e, file: os.NewFile(uintptr(fd), "epoll"),
		work: make(chan *Conn), done: make(chan struct{}),
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("take epoll: %w", err)
	}
	return p, nil
}

// add watches c until its socket is closed. If something is there already, an event comes at once.
func (p *poller) add(c *Conn) error {
	p.engine.mu.Lock()
	generation := p.engine.registry.generations[c.slot]
	p.engine.mu.Unlock()
	// The kernel hands these 64 bits back; they name the connection, not the descriptor, which may be used again.
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(c.slot), Pad: int32(generation),
	}
	var failed error
	err := p.raw.Control(func(epoll uintptr) {
		failed = c.raw.Control(func(fd uintptr) {
			failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
		})
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// run hands connections that can be read to workers, until stop.
func (p *poller) run() {
	events := make([]unix.EpollEvent, pollEvents)
	ready := make([]*Conn, 0, pollEvents)
	n := 0
	var failed error
	wait := func(fd uintptr) bool {
		n, failed = unix.EpollWait(int(fd), events, 0)
		return n > 0 || (failed != nil && failed != unix.EINTR)
	}
	for {
		if err := p.raw.Read(wait); err != nil || failed != nil {
			return // closed by stop: a valid epoll descriptor cannot fail
		}
		p.engine.mu.Lock()
		for i := range events[:n] {
			event := &events[i]
			c := p.engine.registry.find(uint32(event.Fd), uint32(event.Pad))
			if c == nil {
				continue
			}
			if event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
				c.hangup.Store(true)
			}
			ready = append(ready, c)
		}
		p.engine.mu.Unlock()
		for _, c := range ready {
			if c.takeReading() {
				p.dispatch(c)
			} else if !c.reading.CompareAndSwap(readActive, readAgain) && c.takeReading() {
				p.dispatch(c) // it went idle between the two
			}
		}
		clear(ready)
		ready = ready[:0]
	}
}

// dispatch gives c, whose reading the caller has taken, to a worker. There are as many workers as handlers block.
func (p *poller) dispatch(c *Conn) {
	select {
	case p.work <- c:
	default:
		p.engine.loops.Add(1)
		go p.worker(c)
	}
}

func (p *poller) worker(c *Conn) {
	defer p.engine.loops.Done()
	k := p.engine.kits.Get().(*kit) //nolint:forcetypeassert // the pool holds nothing else
	defer p.engine.kits.Put(k)
	for {
		c.readReady(k)
		if p.waiting.Add(1) > idleWorkers {
			p.waiting.Add(-1)
			return
		}
		select {
		case c = <-p.work:
			p.waiting.Add(-1)
		case <-p.done:
			return
		}
	}
}

// readReady reads everything that is there, lends c the kit's buffer meanwhile, and gives the reading role back.
func (c *Conn) readReady(k *kit) {
	for {
		c.kit, c.drained = k, false
		c.br = k.in.br
		c.br.Reset((*wire)(c))
		var err error
		for err == nil {
			if _, err = c.br.Peek(1); err == nil {
				err = c.readMessages()
			}
		}
		c.kit, c.br = nil, bufio.Reader{}
		if err != errIdle { //nolint:errorlint // Peek and readMessages return it bare
			c.finish(err)
			return
		}
		if c.reading.CompareAndSwap(readActive, readIdle) {
			// An interruption that came before found the role taken.
			if c.phase.Load()&phaseClosing != 0 && c.takeReading() {
				c.finish(errClosing)
			}
			return
		}
		c.reading.Store(readActive) // news came: look again
	}
}

func (p *poller) stop() {
	close(p.done)
	_ = p.file.Close()
}
