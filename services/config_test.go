package services

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type ownConfig struct {
	Config
	Port   int    `env:"PORT" default:"3001" help:"Port."`
	Key    Secret `env:"KEY"`
	Policy string `env:"POLICY" default:"members" enum:"members,open"`
}

func (c *ownConfig) Validate() error {
	if c.Port == 13 {
		return fmt.Errorf("PORT must not be 13")
	}
	return nil
}

func TestLoad(t *testing.T) {
	t.Setenv("NATS_URL", "nats://n1,nats://n2")
	t.Setenv("DRAIN_TIMEOUT", "3s")
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("hunter2\n"), 0o600))
	t.Setenv("KEY_FILE", key)
	var c ownConfig
	require.NoError(t, Load(&c, []string{"--port=4000"}))
	require.Equal(t, 4000, c.Port)
	require.Equal(t, "hunter2", c.Key.Reveal())
	require.Equal(t, "nats://n1,nats://n2", c.NATSURL)
	require.Equal(t, 3*time.Second, c.DrainTimeout)
	require.Equal(t, 9091, c.MetricsPort)
	require.Len(t, c.InstanceID, 10)
	require.Equal(t, "redis://127.0.0.1:6379/0", c.RedisURL.Reveal())
	var other ownConfig
	require.NoError(t, Load(&other, nil))
	require.NotEqual(t, c.InstanceID, other.InstanceID)
}

func TestLoadErrorsNameTheVariable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct{ name, value, want string }{
		{"PORT", "many", "PORT"},
		{"PORT", "13", "PORT must not be 13"},
		{"POLICY", "closed", "POLICY"},
		{"DRAIN_TIMEOUT", "soon", "DRAIN_TIMEOUT"},
		{"DRAIN_TIMEOUT", "0s", "DRAIN_TIMEOUT must be more than 0"},
		{"LOG_LEVEL", "loud", "LOG_LEVEL must be debug, info, warn or error"},
		{"LOG_FORMAT", "xml", "LOG_FORMAT must be auto, tint or json"},
		{"METRICS_PORT", "70000", "METRICS_PORT must be 0 to 65535"},
		{"INSTANCE_ID", "a.b", "INSTANCE_ID must be"},
		{"STREAM_REPLICAS", "9", "STREAM_REPLICAS must be 1 to 5"},
		{"NATS_CERT", "x", "NATS_CERT and NATS_KEY must be set together"},
		{"REDIS_URL", "http://user:hunter2@x", "REDIS_URL: "},
		{"KEY_FILE", missing, "KEY_FILE: "},
		{"PRODUCTION", "perhaps", "PRODUCTION"},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.name, tt.value)
			err := Load(new(ownConfig), nil)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	t.Run("both", func(t *testing.T) {
		t.Setenv("KEY", "a")
		t.Setenv("KEY_FILE", missing)
		require.ErrorContains(t, Load(new(ownConfig), nil), "KEY and KEY_FILE must not both be set")
	})
	t.Run("flag", func(t *testing.T) {
		require.ErrorContains(t, Load(new(ownConfig), []string{"--metrics-port=x"}), "METRICS_PORT")
	})
}

func TestHelpListsTheVariables(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, load(new(ownConfig), []string{"--help"}, &out), ErrHelp)
	require.Contains(t, out.String(), "$NATS_URL")
	require.Contains(t, out.String(), "$PORT")
}

func TestASecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := ownConfig{Key: "hunter2", Config: Config{NATSPassword: "hunter2", RedisURL: "redis://:hunter2@x"}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "key", c.Key, "all", c, "pointer", &c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "key", c.Key, "all", c)
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	all := log.String() + string(asJSON) + fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Key, c.Key) + c.Key.String()
	require.NotContains(t, all, "hunter2")
	require.Contains(t, all, "***")
	require.Equal(t, "hunter2", c.Key.Reveal())
	require.Empty(t, Secret("").String())
}

func TestRunGivesExitCodes(t *testing.T) {
	t.Setenv("METRICS_PORT", "0")
	t.Setenv("LOG_LEVEL", "error")
	refuse := func(*Host) (Service, error) { return nil, fmt.Errorf("no") }
	require.Equal(t, 2, run("test", &struct{}{}, nil, refuse))
	require.Equal(t, 2, run("test", new(ownConfig), []string{"--port=x"}, refuse))
	t.Setenv("NATS_URL", "nats://127.0.0.1:1")
	t.Setenv("REDIS_URL", "")
	require.Equal(t, 1, run("test", new(ownConfig), nil, refuse))
	broken := func(*Host) (Service, error) {
		return serviceFunc(func() error { return fmt.Errorf("broken") }), nil
	}
	require.Equal(t, 1, run("test", new(ownConfig), nil, broken))
	fine := func(*Host) (Service, error) { return serviceFunc(func() error { return nil }), nil }
	require.Equal(t, 0, run("test", new(ownConfig), nil, fine))
}

type serviceFunc func() error

func (f serviceFunc) Run(context.Context) error { return f() }
