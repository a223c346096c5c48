package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Config is what a gateway is told. Names that existing deployments set keep
// their meaning; those in milliseconds are so for that reason.
type Config struct {
	services.Config `embed:""`

	Host      string `name:"host" env:"HOST" help:"Address of the client listener; empty for every interface."`
	Port      int    `name:"port" env:"PORT" default:"3001" help:"Its port; 0 for any free one."`
	AdminHost string `name:"admin-host" env:"ADMIN_HOST" help:"Address of the admin HTTP listener; empty for every interface."`
	AdminPort int    `name:"admin-port" env:"ADMIN_PORT" default:"3002" help:"Its port; 0 for any free one."`
	// AdminToken is the bearer token of the admin side; without one there is no admin listener.
	AdminToken services.Secret `name:"admin-token" env:"ADMIN_TOKEN" help:"Bearer token of the admin HTTP API, at least 16 bytes; without it the API is off."`

	JWTSecret      services.Secret `name:"jwt-secret" env:"JWT_SECRET" help:"Key of HMAC tokens, at least 32 bytes."`
	JWTAlgorithms  []string        `name:"jwt-algorithms" env:"JWT_ALGORITHMS" default:"HS256" help:"HMAC algorithms accepted."`
	JWKSURL        string          `name:"jwks-url" env:"JWKS_URL" help:"Where the public keys of tokens are."`
	JWKSAlgorithms []string        `name:"jwks-algorithms" env:"JWKS_ALGORITHMS" default:"RS256,ES256,EdDSA" help:"Public-key algorithms accepted."`
	JWTIssuer      string          `name:"jwt-issuer" env:"JWT_ISSUER" help:"Issuer that tokens must have."`
	JWTAudience    string          `name:"jwt-audience" env:"JWT_AUDIENCE" help:"Audience that tokens must have."`
	JWTMaxLifetime time.Duration   `name:"jwt-max-lifetime" env:"JWT_MAX_LIFETIME" default:"0" help:"Longest lifetime of a token; 0 for any."`

	CORSOrigin []string `name:"cors-origin" env:"CORS_ORIGIN" help:"Origins of web pages that may connect, such as https://app.example.org; null and file:// for pages from files and some webviews; * for all. Default: the gateway's own host."`

	PingInterval int `name:"ping-interval" env:"SOCKETIO_PING_INTERVAL" default:"25000" help:"Time between pings, ms."`
	PingTimeout  int `name:"ping-timeout" env:"SOCKETIO_PING_TIMEOUT" default:"60000" help:"How long the answer to a ping may take, ms."`
	MaxPayload   int `name:"max-payload" env:"SOCKETIO_MAX_BUFFER_SIZE" default:"1048576" help:"Largest message from a client, bytes."`
	MaxQueue     int `name:"max-queue" env:"MAX_QUEUE_BYTES" default:"1048576" help:"What may wait for one client, bytes; beyond it the client is closed as slow."`
	// ReadTimeout and MinReadRate make a least rate: what a client or a backend sends ends when it comes more slowly, and takes
	// as long as it needs otherwise.
	ReadTimeout time.Duration `name:"read-timeout" env:"READ_TIMEOUT" default:"10s" help:"How long a request's header may take, and the time over which MIN_READ_RATE is measured."`
	MinReadRate int           `name:"min-read-rate" env:"MIN_READ_RATE" default:"512" help:"Least rate of an unfinished message or request body, bytes per second, measured over READ_TIMEOUT."`
	// The deadlines of CONTRACT §1 and §2; tests shorten them.
	ConnectTimeout time.Duration `name:"connect-timeout" env:"CONNECT_TIMEOUT" default:"10s" help:"How long a Socket.IO client may take to send a CONNECT that is accepted."`
	AuthTimeout    time.Duration `name:"auth-timeout" env:"AUTH_TIMEOUT" default:"10s" help:"How long a plain websocket may take to authenticate, and a connection without a request stays open."`
	MaxIdle        int           `name:"max-idle" env:"MAX_IDLE_TIME" default:"1800000" help:"How long a client may send no event, ms; 0 for ever."`

	ConnectionWindow int    `name:"connection-window" env:"RATE_LIMIT_CONNECTION_WINDOW" default:"60000" help:"Window of RATE_LIMIT_MAX_CONNECTIONS, ms."`
	MaxConnections   int    `name:"max-connections" env:"RATE_LIMIT_MAX_CONNECTIONS" default:"60" help:"Connections a user may make per window; 0 for any number."`
	RateLimits       string `name:"rate-limits" env:"RATE_LIMITS" help:"Limits that differ from the catalogue's: message:new=30/60s,chat:join=off; \"off\" alone for none at all."`
	MaxPerUser       int    `name:"max-per-user" env:"MAX_CONNECTIONS_PER_USER" default:"20" help:"Connections a user may have at once, over all gateways; 0 for any number."`
	MaxPerAddress    int    `name:"max-per-address" env:"MAX_CONNECTIONS_PER_ADDRESS" default:"5000" help:"Connections a gateway takes at once from one public address (of IPv6: one /64); 0 for any number."`
	AdmitRate        int    `name:"admit-rate" env:"ADMIT_RATE" default:"1000" help:"New connections taken per second; more get 503 and Retry-After. No address can use up the share of the others."`
	// TrustedProxies are whose X-Forwarded-For, or PROXY protocol, says where a client is.
	TrustedProxies []string `name:"trusted-proxies" env:"TRUSTED_PROXIES" help:"Networks and addresses of proxies whose X-Forwarded-For or PROXY protocol is believed, such as 10.0.0.0/8. Default: none."`
	DrainRate      int      `name:"drain-rate" env:"DRAIN_RATE" default:"500" help:"Connections closed per second at stop."`
	// DrainNotice must be at least 1 s (CONTRACT §5); tests shorten it.
	DrainNotice time.Duration `name:"drain-notice" env:"DRAIN_NOTICE" default:"1s" help:"Time between server:drain and the first close."`
	// SweepEvery is half of how long a live copy that was lost may go unnoticed in a quiet chat.
	SweepEvery time.Duration `name:"sweep-every" env:"SWEEP_EVERY" default:"10s" help:"How often what the log has stored is compared with what has passed here; a lost live copy is made up for within twice that."`
	Poller     bool          `name:"poller" env:"POLLER" default:"true" negatable:"" help:"Let idle connections wait in epoll where that is possible."`
}

// maxMillis bounds the settings in milliseconds: a day and a bit.
const maxMillis = 100_000_000

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	if len(c.JWTSecret.Reveal()) == 0 && c.JWKSURL == "" {
		return errors.New("JWT_SECRET or JWKS_URL must be set: there is no built-in key")
	}
	if n := len(c.JWTSecret.Reveal()); n > 0 && n < auth.MinSecret {
		return fmt.Errorf("JWT_SECRET must be at least %d bytes", auth.MinSecret)
	}
	if n := len(c.AdminToken.Reveal()); n > 0 && n < 16 {
		return errors.New("ADMIN_TOKEN must be at least 16 bytes")
	}
	for _, s := range []struct {
		name         string
		value, least int
		most         int
	}{
		{"PORT", c.Port, 0, 65535},
		{"ADMIN_PORT", c.AdminPort, 0, 65535},
		{"SOCKETIO_PING_INTERVAL", c.PingInterval, 10, maxMillis},
		{"SOCKETIO_PING_TIMEOUT", c.PingTimeout, 10, maxMillis},
		{"SOCKETIO_MAX_BUFFER_SIZE", c.MaxPayload, 1 << 10, 16 << 20},
		{"MAX_QUEUE_BYTES", c.MaxQueue, 64 << 10, 1 << 30},
		{"MIN_READ_RATE", c.MinReadRate, 1, 1 << 20},
		{"MAX_IDLE_TIME", c.MaxIdle, 0, maxMillis},
		{"RATE_LIMIT_CONNECTION_WINDOW", c.ConnectionWindow, 1, maxMillis},
		{"RATE_LIMIT_MAX_CONNECTIONS", c.MaxConnections, 0, 1 << 20},
		{"MAX_CONNECTIONS_PER_USER", c.MaxPerUser, 0, 1 << 20},
		{"MAX_CONNECTIONS_PER_ADDRESS", c.MaxPerAddress, 0, 1 << 30},
		{"ADMIT_RATE", c.AdmitRate, 1, 1 << 20},
		{"DRAIN_RATE", c.DrainRate, 1, 1 << 20},
	} {
		if s.value < s.least || s.value > s.most {
			return fmt.Errorf("%s must be %d to %d", s.name, s.least, s.most)
		}
	}
	if c.ReadTimeout < 100*time.Millisecond || c.ReadTimeout > time.Hour {
		return errors.New("READ_TIMEOUT must be 100ms to 1h")
	}
	if c.ConnectTimeout <= 0 {
		return errors.New("CONNECT_TIMEOUT must be more than 0")
	}
	if c.SweepEvery <= 0 {
		return errors.New("SWEEP_EVERY must be more than 0")
	}
	if c.AuthTimeout <= 0 {
		return errors.New("AUTH_TIMEOUT must be more than 0")
	}
	for _, origin := range c.CORSOrigin {
		u, err := url.Parse(origin)
		switch {
		case origin == "*" && c.Production:
			return errors.New("CORS_ORIGIN=* lets any web page use a visitor's session: not with PRODUCTION")
		case origin == "*", slices.Contains(opaqueOrigins, origin):
		case err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Contains(origin, "*"):
			return fmt.Errorf("CORS_ORIGIN: %q is not an origin such as https://app.example.org", origin)
		}
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		return err
	}
	_, err := parseLimits(c.RateLimits, proto.Endpoints)
	return err
}

// opaqueOrigins are what browsers and webviews send for pages that have no host: files, data and sandboxed frames. Any page
// can make itself one of these, so they stand for nobody in particular.
var opaqueOrigins = []string{"null", "file://"}

// readPart is what has to come in each ReadTimeout, in bytes.
func (c *Config) readPart() int {
	return max(1, int(int64(c.MinReadRate)*c.ReadTimeout.Milliseconds()/1000))
}

func (c *Config) anyOrigin() bool { return slices.Contains(c.CORSOrigin, "*") }

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
