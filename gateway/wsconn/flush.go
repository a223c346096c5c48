package wsconn

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// flushBuffer is how much of one connection's queue goes into one write.
	flushBuffer = 64 << 10
	// batchFrames is the first capacity of a queue, keepFrames the largest that is used again.
	batchFrames = 16
	keepFrames  = 1024
	// roundSlice is how many connections a flusher writes before it lets other goroutines run.
	roundSlice = 64
)

// batch is a queue of frames. A connection holds one only while something waits, so that an idle one has none.
type batch struct {
	frames []*Frame
	next   int // the first frame that is not taken yet
}

func (e *Engine) recycle(b *batch) {
	if cap(b.frames) > keepFrames {
		return
	}
	clear(b.frames)
	b.frames, b.next = b.frames[:0], 0
	e.queues.Put(b)
}

// shard writes for its part of the connections. It goes round those that have something queued and makes one non-blocking
// write each; what is sent to a connection meanwhile waits for the next round and goes out together. So the more there is to
// do, the more frames share a system call, and an idle server adds no delay.
type shard struct {
	engine *Engine
	wake   chan struct{}

	frames, writes atomic.Uint64 // written without blocking, for Stats

	mu     sync.Mutex
	dirty  []*Conn
	asleep bool

	// The flusher's own.
	list  []*Conn // of this round
	again []*Conn // got more while they were written
	buf   []byte
	out   directWriter
}

func newShard(e *Engine) *shard {
	s := &shard{engine: e, wake: make(chan struct{}, 1), buf: make([]byte, 0, flushBuffer)}
	s.out.init()
	return s
}

// push adds a connection that has set Conn.writing; it is on the list at most once.
func (s *shard) push(c *Conn) {
	s.mu.Lock()
	s.dirty = append(s.dirty, c)
	wake := s.asleep
	s.asleep = false
	s.mu.Unlock()
	if wake {
		s.wake <- struct{}{} // there is room: the flusher took the last one before it fell asleep
	}
}

func (s *shard) run(stop <-chan struct{}) {
	for {
		if s.round() {
			continue
		}
		select {
		case <-s.wake:
		case <-stop:
			return
		}
	}
}

// round writes to every connection that has something queued and tells whether there was one. After false the next push
// sends to wake.
func (s *shard) round() bool {
	s.mu.Lock()
	s.list, s.dirty = s.dirty, s.list[:0]
	s.list = append(s.list, s.again...)
	s.asleep = len(s.list) == 0
	s.mu.Unlock()
	clear(s.again)
	s.again = s.again[:0]
	for i, c := range s.list {
		if i%roundSlice == roundSlice-1 {
			runtime.Gosched()
		}
		s.flush(c)
	}
	clear(s.list)
	return len(s.list) > 0
}

// flush takes what is queued on c and writes as much as the socket takes.
func (s *shard) flush(c *Conn) {
	c.mu.Lock()
	b, stamper := c.queue, c.stamper
	c.queue = nil
	c.mu.Unlock()
	if c.raw == nil {
		s.handOver(c, b, nil)
		return
	}
	written := 0
	buf := s.buf[:0]
	frames := len(b.frames)
	last := b.frames[frames-1]
	for b.next < len(b.frames) || len(buf) > 0 {
		buf = b.fill(buf, stamper)
		n, err := s.out.send(c.raw, buf)
		s.writes.Add(1)
		if err != nil {
			c.writeFailed(err)
			s.engine.recycle(b)
			return // writing stays set: nobody writes to this connection again
		}
		written += n
		if n < len(buf) {
			c.took(written)
			s.handOver(c, b, append([]byte(nil), buf[n:]...))
			return
		}
		buf = s.buf[:0]
	}
	s.engine.recycle(b)
	s.frames.Add(uint64(frames))
	if last.opcode() == opClose {
		c.closeWritten()
	}
	c.mu.Lock()
	c.bytes -= written
	more := c.queue != nil
	c.writing = more
	c.mu.Unlock()
	if more {
		s.again = append(s.again, c)
	}
}

// fill copies frames to buf while they fit. A frame that is larger than the whole buffer gets a buffer of its own.
func (b *batch) fill(buf []byte, stamper Stamper) []byte {
	for b.next < len(b.frames) {
		f := b.frames[b.next]
		if len(buf)+len(f.wire) > cap(buf) {
			if len(buf) > 0 {
				return buf
			}
			b.next++
			if f.slot == 0 || stamper == nil {
				return f.wire // read only: neither send nor write changes it
			}
			return f.appendWire(make([]byte, 0, len(f.wire)), stamper)
		}
		buf = f.appendWire(buf, stamper)
		b.next++
	}
	return buf
}

// took notes that the kernel has n more bytes.
func (c *Conn) took(n int) {
	c.mu.Lock()
	c.bytes -= n
	c.mu.Unlock()
}
