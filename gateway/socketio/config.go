package socketio

import "time"

// Config sets the limits of a Server. The zero value of every field stands for its default.
type Config struct {
	// ConnectTimeout is how long a session may be in no namespace. Default 45 s.
	ConnectTimeout time.Duration
	// LeaveTimeout is how long a client may take to close the transport itself after the server has disconnected it from its
	// last namespace. Default 5 s.
	LeaveTimeout time.Duration
	// Namespaces that exist. Default: "/" alone.
	Namespaces []string
	// EventNames are names to expect; seeing one of them costs no allocation. Others are accepted just the same.
	EventNames []string
	// MaxConnects bounds the CONNECT packets of one session that may fail. Default 10.
	MaxConnects int
	// MaxAttachments bounds the binary attachments of one packet. Default 10, that of the reference implementation.
	MaxAttachments int
	// MaxAttachmentBytes bounds them together, in bytes: they are kept until the last has come. Default 4 MiB.
	MaxAttachmentBytes int
	// AttachmentTimeout is how long each attachment may take behind what came before it. Default 60 s.
	AttachmentTimeout time.Duration
	// DropAttachments is for servers that take no binary: nothing of a binary packet is kept. Its event comes at once, with the
	// number of its attachments, and they are dropped as they come.
	DropAttachments bool
	// MaxPendingAcks bounds the emits of one socket whose ack has not come. Default 64.
	MaxPendingAcks int
}

func (c Config) withDefaults() Config {
	setDefault(&c.ConnectTimeout, 45*time.Second)
	setDefault(&c.LeaveTimeout, 5*time.Second)
	setDefault(&c.MaxConnects, 10)
	setDefault(&c.MaxAttachments, 10)
	setDefault(&c.MaxAttachmentBytes, 4<<20)
	setDefault(&c.AttachmentTimeout, 60*time.Second)
	setDefault(&c.MaxPendingAcks, 64)
	if len(c.Namespaces) == 0 {
		c.Namespaces = []string{RootNamespace}
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
