package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config sets the limits of a Server. The zero value of every field stands for its default.
type Config struct {
	// Path is the only URL path served, with or without its final slash. Default "/socket.io/".
	Path string
	// PingInterval is the time from the open packet or a pong to the next ping. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long the pong may take. Default 60 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long a websocket that wants to take over a polling session may take to do so. Default 10 s.
	UpgradeTimeout time.Duration
	// WriteTimeout is how long the next 16 KiB of the answer to a poll may take to be written. Default 10 s.
	WriteTimeout time.Duration
	// LingerTimeout is how long a closed polling session, or a payload whose answers have filled half of the queue, waits for
	// the poll that fetches what was queued. Default 30 s.
	LingerTimeout time.Duration
	// MaxPayload bounds the body of a POST in bytes and is announced in the open packet. A stock client puts all it has
	// buffered into one body, so there is no other bound on what is in it. Give wsconn the same read limit. Default 1 MiB.
	MaxPayload int
	// MaxQueueBytes bounds what is queued for a polling session, in payload bytes, and the size of one Send on a websocket.
	// Give wsconn the same bound. Default 1 MiB.
	MaxQueueBytes int
	// CheckOrigin decides on requests that carry an Origin header; those without one never come from a browser and pass.
	// Default: the origin's host must be the request's.
	CheckOrigin func(*http.Request) bool
	// NewID makes session ids, which must be unguessable: whoever knows one can speak for the session over HTTP.
	// Default: 128 random bits, base64url.
	NewID func() string
}

func (c Config) withDefaults() Config {
	setDefault(&c.Path, "/socket.io/")
	setDefault(&c.PingInterval, 25*time.Second)
	setDefault(&c.PingTimeout, 60*time.Second)
	setDefault(&c.UpgradeTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.LingerTimeout, 30*time.Second)
	setDefault(&c.MaxPayload, 1<<20)
	setDefault(&c.MaxQueueBytes, 1<<20)
	if c.CheckOrigin == nil {
		c.CheckOrigin = sameHost
	}
	if c.NewID == nil {
		c.NewID = randomID
	}
	c.Path = strings.TrimSuffix(c.Path, "/")
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func sameHost(r *http.Request) bool {
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
