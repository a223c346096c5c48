package wsconn

import (
	"errors"
	"runtime"
	"time"
)

// Config holds the limits of every connection of an Engine. A zero field means its default.
type Config struct {
	// ReadLimit is the largest inbound message in bytes; a larger one closes the connection with 1009. Default 1 MiB.
	ReadLimit int64
	// MaxQueueBytes bounds the bytes that wait to be written to one connection; beyond it Send answers ErrFull. One frame
	// always fits into an empty queue, and control frames do not count. Default 1 MiB.
	MaxQueueBytes int
	// WriteTimeout is how long a full socket may take to accept the next 16 KiB before the connection is dropped. Default 10 s.
	WriteTimeout time.Duration
	// MessageTimeout is how long the next MessagePart bytes of an unfinished inbound message may take, or its end if that is
	// nearer; later closes with 1008. So a message has a least rate and a time that grows with its size. Default 10 s.
	MessageTimeout time.Duration
	// MessagePart is what has to come in each MessageTimeout, in bytes. Default 5 KiB, which makes 512 bytes a second.
	MessagePart int
	// CloseTimeout bounds a graceful close: flushing the queue, the close frame and the peer's answer. Default 1 s.
	CloseTimeout time.Duration
	// ReadBytesPerSecond is the sustained inbound rate of one connection; a faster peer is slowed down by not reading from it,
	// which TCP passes on. Default 256 KiB/s, negative: off.
	ReadBytesPerSecond int
	// ReadBurst is how many bytes may come at once before the rate applies. Default 2 MiB.
	ReadBurst int
	// MaxPingsPerSecond bounds websocket pings and pongs from the peer; more close with 1008. Default 5, negative: off.
	MaxPingsPerSecond int
	// SocketWriteBuffer is the kernel's send buffer in bytes. It is small because what the kernel holds is memory no bound of
	// ours sees: Linux takes 3.8 MB for a stalled peer if it may. Default 64 KiB, negative: left to the kernel.
	SocketWriteBuffer int
	// Shards is the number of flushers. Default GOMAXPROCS.
	Shards int
	// Poller lets idle connections wait in epoll instead of in a goroutine each, where that is possible (Linux, plain TCP).
	Poller bool
}

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.ReadLimit, 1<<20)
	setDefault(&c.MaxQueueBytes, 1<<20)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.MessageTimeout, 10*time.Second)
	setDefault(&c.MessagePart, 5<<10)
	setDefault(&c.CloseTimeout, time.Second)
	setDefault(&c.ReadBytesPerSecond, 256<<10)
	setDefault(&c.ReadBurst, 2<<20)
	setDefault(&c.MaxPingsPerSecond, 5)
	setDefault(&c.SocketWriteBuffer, 64<<10)
	setDefault(&c.Shards, runtime.GOMAXPROCS(0))
	switch {
	case c.ReadLimit < 0, c.MaxQueueBytes < 0, c.Shards < 0, c.ReadBurst < 0, c.MessagePart < 0:
		return c, errors.New("wsconn: read limit, queue bound, read burst, message part and shards must not be negative")
	case c.WriteTimeout < 0, c.MessageTimeout < 0, c.CloseTimeout < 0:
		return c, errors.New("wsconn: timeouts must not be negative")
	case c.ReadBurst > 1<<30 || c.ReadBytesPerSecond > 1<<30:
		return c, errors.New("wsconn: read burst and rate must not exceed 1 GiB")
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
