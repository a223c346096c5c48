package wsconn

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// drainBuffer is how much a blocking write offers to a socket at once, and so how much a peer must take within
// Config.WriteTimeout.
const drainBuffer = 16 << 10

// handOver gives a connection whose socket is full, or that cannot be written without blocking, to a goroutine of its own. It
// ends when the queue is empty. left is unsent and comes before the frames of b.
func (s *shard) handOver(c *Conn, b *batch, left []byte) {
	s.engine.drains.Add(1)
	go c.drain(b, left)
}

func (c *Conn) drain(b *batch, left []byte) {
	e := c.engine
	defer e.drains.Done()
	k := e.kits.Get().(*kit) //nolint:forcetypeassert // the pool holds nothing else
	defer e.kits.Put(k)
	if err := c.writeWaiting(left); err != nil {
		return
	}
	for {
		c.mu.Lock()
		stamper := c.stamper
		c.mu.Unlock()
		last := b.frames[len(b.frames)-1]
		for b.next < len(b.frames) {
			if err := c.writeWaiting(b.fill(c.drainInto(k), stamper)); err != nil {
				return
			}
		}
		e.recycle(b)
		if last.opcode() == opClose {
			c.closeWritten()
		}
		c.mu.Lock()
		b, c.queue = c.queue, nil
		c.writing = b != nil
		c.mu.Unlock()
		if b == nil {
			return
		}
	}
}

// writeWaiting writes all of p, blocking, or drops the connection.
func (c *Conn) writeWaiting(p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), drainBuffer)]
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.engine.cfg.WriteTimeout))
		if _, err := c.nc.Write(part); err != nil {
			c.discardUnsent()
			c.writeFailed(err)
			return err //nolint:wrapcheck // the caller only stops
		}
		c.took(len(part))
		p = p[len(part):]
	}
	return nil
}

// drainInto is the buffer to copy frames to: a large one where this is the only way to write (a TLS record holds 16 KiB), a
// small one where it means that the peer is slow, as there may be many of those at once.
func (c *Conn) drainInto(k *kit) []byte {
	if c.raw == nil && cap(k.message) < drainBuffer {
		k.message = make([]byte, 0, drainBuffer)
	}
	return k.message[:0]
}

// writeFailed ends a connection that cannot be written to. A peer that has closed its socket
// may have sent messages before: they are still read, up to the end that the kernel reports
// behind them. A peer that only does not take what is written is dropped at once.
func (c *Conn) writeFailed(err error) {
	why := fmt.Errorf("write to websocket: %w", err)
	closed := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
	c.mu.Lock()
	reads := closed && c.ending == nil
	if reads {
		c.ending = &ending{why: why}
	}
	c.mu.Unlock()
	if !reads {
		c.Abort(why)
	}
}
