package services

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"
)

// Config is what every service is told. A service's own configuration embeds
// it. Every setting is an environment variable and a flag; a variable X may
// also be given as X_FILE, the name of a file that holds it.
type Config struct {
	InstanceID string `name:"instance-id" env:"INSTANCE_ID" help:"Name of this instance; random by default."`
	Production bool   `env:"PRODUCTION" help:"Refuse settings that are unsafe in production."`

	NATSURL      string `name:"nats-url" env:"NATS_URL" default:"nats://127.0.0.1:4222" help:"NATS servers, separated by commas."`
	NATSCreds    string `name:"nats-creds" env:"NATS_CREDS" help:"File with NATS user credentials (JWT and seed)."`
	NATSNKey     string `name:"nats-nkey" env:"NATS_NKEY" help:"File with the seed of the NATS nkey user."`
	NATSUser     string `name:"nats-user" env:"NATS_USER" help:"NATS user."`
	NATSPassword Secret `name:"nats-password" env:"NATS_PASSWORD" help:"NATS password."`
	NATSCA       string `name:"nats-ca" env:"NATS_CA" help:"File with the certificate authority of the NATS servers."`
	NATSCert     string `name:"nats-cert" env:"NATS_CERT" help:"File with this service's certificate for NATS."`
	NATSKey      string `name:"nats-key" env:"NATS_KEY" help:"File with the key of NATS_CERT."`
	NATSMonitor  string `name:"nats-monitor-url" env:"NATS_MONITOR_URL" help:"Monitoring address of the NATS server, http://host:8222; tells how durable a stored message is."`

	RedisURL     Secret `name:"redis-url" env:"REDIS_URL" default:"redis://127.0.0.1:6379/0" help:"Redis; empty for none."`
	RedisCluster bool   `name:"redis-cluster" env:"REDIS_CLUSTER" help:"REDIS_URL is a cluster; further nodes as ?addr=host:port."`

	Provision       bool  `env:"PROVISION" help:"Create and widen streams at start; without it they are only checked."`
	Replicas        int   `env:"STREAM_REPLICAS" default:"1" help:"Copies of each stream."`
	StreamMaxBytes  int64 `name:"stream-max-bytes" env:"STREAM_MAX_BYTES" default:"0" help:"Size limit of each stream in bytes; 0 for the catalogue's."`
	AllowBestEffort bool  `name:"allow-best-effort" env:"ALLOW_BEST_EFFORT" help:"In production, accept a NATS server that may lose the last minutes in a power cut."`

	MetricsHost  string        `name:"metrics-host" env:"METRICS_HOST" help:"Address of the /health, /ready and /metrics listener; empty for every interface."`
	MetricsPort  int           `name:"metrics-port" env:"METRICS_PORT" default:"9091" help:"Its port; 0 for any free one."`
	PProf        bool          `name:"pprof" env:"PPROF" help:"Serve profiles of the process under /debug/pprof/ on that listener, to whoever reaches it."`
	LogLevel     string        `name:"log-level" env:"LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat    string        `name:"log-format" env:"LOG_FORMAT" default:"auto" help:"auto, tint or json; auto is tint on a terminal."`
	DrainTimeout time.Duration `name:"drain-timeout" env:"DRAIN_TIMEOUT" default:"10s" help:"How long accepted requests may take to end at stop."`
}

// chassis finds the Config inside a configuration that embeds it.
func (c *Config) chassis() *Config { return c }

type hasChassis interface{ chassis() *Config }

// ErrHelp says that the help text was asked for and printed.
var ErrHelp = errors.New("help shown")

// Load fills cfg, a pointer to a struct of kong tags, from the environment and
// from args (without the program's name), checks it with its Validate and the
// embedded Config's, and gives the instance its name. Errors name the variable.
// It answers ErrHelp after --help.
func Load(cfg any, args []string) error { return load(cfg, args, os.Stdout) }

func load(cfg any, args []string, out io.Writer) error {
	helped := false
	parser, err := kong.New(cfg,
		kong.Name("service"),
		kong.Writers(out, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.Resolvers(kong.ResolverFunc(fromFile)),
	)
	if err != nil {
		return fmt.Errorf("load config: %w", err)
	}
	_, err = parser.Parse(args)
	if helped {
		return ErrHelp
	}
	if err != nil {
		return fmt.Errorf("load config: %w", nameVariable(parser.Model, err))
	}
	if c, ok := cfg.(hasChassis); ok {
		if err := c.chassis().complete(); err != nil {
			return fmt.Errorf("load config: %w", err)
		}
	}
	return nil
}

// fromFile reads a setting from the file that X_FILE names.
func fromFile(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		path, ok := os.LookupEnv(env + "_FILE")
		if !ok || path == "" {
			continue
		}
		if _, both := os.LookupEnv(env); both {
			return nil, fmt.Errorf("%s and %s_FILE must not both be set", env, env)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", env, err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	return nil, nil //nolint:nilnil // how a kong.Resolver says that it has no value
}

// nameVariable adds the environment variable to an error that names a flag.
func nameVariable(model *kong.Application, err error) error {
	text := err.Error()
	for _, flag := range model.Flags {
		at := strings.Index(text, "--"+flag.Name)
		if at < 0 || len(flag.Envs) == 0 || strings.Contains(text, flag.Envs[0]) {
			continue
		}
		if end := at + 2 + len(flag.Name); end == len(text) || text[end] != '-' && (text[end] < 'a' || text[end] > 'z') {
			return fmt.Errorf("%s: %w", flag.Envs[0], err)
		}
	}
	return err
}

// fillIn gives a Config that was made in code, not by Load, the defaults that
// have no useful zero. An empty RedisURL stays: no Redis.
func (c *Config) fillIn() {
	if c.NATSURL == "" {
		c.NATSURL = nats.DefaultURL
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 10 * time.Second
	}
}

func (c *Config) complete() error {
	if c.InstanceID == "" {
		c.InstanceID = strings.ToLower(rand.Text()[:10])
	}
	switch {
	case !plainName(c.InstanceID):
		return fmt.Errorf("INSTANCE_ID must be 1 to 64 of letters, digits, _ and -")
	case c.NATSURL == "":
		return fmt.Errorf("NATS_URL must not be empty")
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("STREAM_REPLICAS must be 1 to 5")
	case c.StreamMaxBytes < 0:
		return fmt.Errorf("STREAM_MAX_BYTES must not be negative")
	case c.MetricsPort < 0 || c.MetricsPort > 65535:
		return fmt.Errorf("METRICS_PORT must be 0 to 65535")
	case c.DrainTimeout <= 0:
		return fmt.Errorf("DRAIN_TIMEOUT must be more than 0")
	case (c.NATSCert == "") != (c.NATSKey == ""):
		return fmt.Errorf("NATS_CERT and NATS_KEY must be set together")
	}
	if _, err := c.redisOptions(); err != nil {
		return err
	}
	if _, err := parseLevel(c.LogLevel); err != nil {
		return err
	}
	return checkFormat(c.LogFormat)
}

// plainName says whether s can stand in a subject, a key and a label.
func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
