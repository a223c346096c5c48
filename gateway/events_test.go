package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// both runs a test in each profile.
func both(t *testing.T, m *mesh, fn func(t *testing.T, connect func(user, device string) *client)) {
	t.Helper()
	t.Run("socket.io", func(t *testing.T) { fn(t, m.socketIO) })
	t.Run("plain", func(t *testing.T) { fn(t, m.plain) })
}

func TestEveryEventIsAnswered(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		c := connect("ann", "")
		for _, event := range []string{"presence:get", "call:hold", "no such event"} {
			g := c.ask(event, `{"chatId":"c1"}`)
			require.Equal(t, proto.UnknownEvent, g.code(t), event)
			require.Equal(t, "false", field(t, g.data, "success"))
		}
		require.Equal(t, "true", field(t, c.ask("pong", "").data, "success"))
		require.Equal(t, proto.InvalidPayload, func() proto.Code { g := c.ask("message:new", ""); return g.code(t) }(), "nothing means {}")
		require.Equal(t, proto.InvalidPayload, func() proto.Code { g := c.ask("message:new", `"text"`); return g.code(t) }())
		require.Equal(t, proto.ChatNotFound, func() proto.Code {
			g := c.ask("message:new", `{"chatId":"other","encryptedContent":"x"}`)
			return g.code(t)
		}())

		c.emitOnly("message:new", `{"chatId":"other","encryptedContent":"x","tempId":"t.1"}`)
		g := c.next()
		require.Equal(t, "error", g.event)
		var e proto.ErrorEvent
		g.into(t, &e)
		require.Equal(t, proto.ErrorEvent{Message: e.Message, Code: proto.ChatNotFound, Event: "message:new", TempID: "t.1", RequestID: e.RequestID}, e)
		require.Len(t, e.RequestID, 32)
		c.emitOnly("nonsense", `{}`)
		g = c.next()
		require.Equal(t, proto.UnknownEvent, g.code(t))
		c.emitOnly("pong", `{}`)
		c.quiet()
	})
}

func TestPlainPing(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	c := m.plain("ann", "")
	c.emitOnly("ping", `{}`)
	g := c.next()
	require.Equal(t, "pong", g.event)
	require.NotEmpty(t, field(t, g.data, "ts"))
}

func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	c := m.plain("ann", "")
	for range maxStrikes {
		c.write(`{"event":5,"ack":1}`)
		g := c.next()
		require.Equal(t, proto.InvalidPayload, g.code(t))
		require.Equal(t, "1", g.ack)
	}
	c.write(`nonsense`)
	require.EqualValues(t, proto.CloseProtocolError, c.closed())

	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		unknown := connect("ann", "")
		for range 300 {
			g := unknown.ask("call:hold", "{}")
			require.Equal(t, proto.UnknownEvent, g.code(t), "an app ahead of this mesh stays")
		}
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.RateLimits = "message:new=3/2s" })
	m.chat.add("c1", "ann", "bob")
	one, two := m.socketIO("ann", "a"), m.plain("ann", "b")
	message := `{"chatId":"c1","encryptedContent":"x"}`
	require.Equal(t, 3, one.hello.Limits["message:new"].Limit)
	require.EqualValues(t, 2000, one.hello.Limits["message:new"].WindowMs)
	passed := 0
	g := two.ask("message:new", message)
	for ; field(t, g.data, "success") == "true"; g = two.ask("message:new", message) {
		one.message()
		passed++
	}
	require.GreaterOrEqual(t, passed, 3, "a busy machine lets more pass: the limit refills")
	require.Equal(t, proto.RateLimitExceeded, g.code(t), "the limit is the user's, not the socket's")
	var f proto.Failure
	g.into(t, &f)
	require.True(t, f.Retryable)
	require.Positive(t, f.RetryAfterMs)
	require.LessOrEqual(t, f.RetryAfterMs, int64(2000))
	bob := m.plain("bob", "")
	require.Equal(t, "true", field(t, bob.ask("message:new", message).data, "success"), "others are not concerned")
	one.message()
	two.message()
	timer := time.NewTimer(time.Duration(f.RetryAfterMs) * time.Millisecond)
	<-timer.C
	require.Equal(t, "true", field(t, two.ask("message:new", message).data, "success"), "after retryAfterMs it works")
}

// TestOrderAndBounds: events of one socket are answered in order, one at a
// time; a slow service holds up only its own; beyond the bound comes a failure.
func TestOrderAndBounds(t *testing.T) {
	t.Parallel()
	m := runTuned(t, inNoHurry) // the last request waits for all before it
	m.chat.add("c1", "ann")
	slow := make(chan struct{})
	m.chat.mu.Lock()
	m.chat.slow = slow
	m.chat.mu.Unlock()
	c := m.socketIO("ann", "")
	var ids []string
	for i := range maxWaiting + 1 { // one is being made, the others wait
		ids = append(ids, c.emit("message:new", fmt.Sprintf(`{"chatId":"c1","encryptedContent":"%d"}`, i)))
	}
	first := m.svc.hub.everyone()[0]
	require.Eventually(t, func() bool {
		first.mu.Lock()
		defer first.mu.Unlock()
		return first.lanes != nil && first.lanes.next == nil && len(first.lanes.queue) == maxWaiting
	}, patience, time.Millisecond)
	over := c.ask("message:new", `{"chatId":"c1","encryptedContent":"over"}`)
	require.Equal(t, proto.ServiceUnavailable, over.code(t))
	c.quiet()
	require.Equal(t, proto.InvalidToken, func() proto.Code { g := c.ask("auth:refresh", `{"token":"x"}`); return g.code(t) }(), "another lane goes on")
	close(slow)
	for i, id := range ids {
		g := c.next()
		require.Equal(t, id, g.ack)
		var ack proto.SendMessageRes
		g.into(t, &ack)
		require.EqualValues(t, i+1, ack.Message.Seq)
	}
	c.quiet()
	s := m.svc.hub.everyone()[0]
	require.Eventually(t, func() bool { return !s.busy() }, patience, time.Millisecond, "no lane without requests")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.bytes)
}

func TestBigMessage(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		ann, bob := connect("ann", ""), connect("bob", "")
		content := strings.Repeat("x", 60<<10)
		require.Equal(t, "true", field(t, ann.ask("message:new", `{"chatId":"c1","encryptedContent":"`+content+`"}`).data, "success"))
		text, _ := bob.message()
		require.Equal(t, content, text)
	})
}

func TestAuthRefreshAndExpiry(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.RateLimits = "auth:refresh=off" })
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		c := connect("ann", "")
		require.Equal(t, proto.PermissionDenied, func() proto.Code {
			g := c.ask("auth:refresh", `{"token":"`+tokenFor(t, "bob", "", time.Hour)+`"}`)
			return g.code(t)
		}())
		require.Equal(t, proto.InvalidPayload, func() proto.Code { g := c.ask("auth:refresh", `{}`); return g.code(t) }())
		require.Equal(t, proto.TokenExpired, func() proto.Code {
			g := c.ask("auth:refresh", `{"token":"`+tokenFor(t, "ann", "", -time.Hour)+`"}`)
			return g.code(t)
		}())
		// A token of less than a minute: the warning comes at once.
		refresh := func(lifetime time.Duration) (res proto.AuthRefreshRes) {
			t.Helper()
			id := c.emit("auth:refresh", `{"token":"`+tokenFor(t, "ann", "", lifetime)+`"}`)
			want := map[string]bool{"ack " + id: true}
			if lifetime < time.Minute {
				want["event auth:expiring"] = true
			}
			for len(want) > 0 {
				g := c.next()
				if g.ack != "" {
					require.Equal(t, "true", field(t, g.data, "success"), "%s", g.data)
					g.into(t, &res)
					delete(want, "ack "+g.ack)
					continue
				}
				require.Contains(t, want, "event "+g.event)
				delete(want, "event "+g.event)
			}
			return res
		}
		refresh(3 * time.Second)
		res := refresh(time.Hour)
		require.WithinDuration(t, time.Now().Add(time.Hour), res.TokenExpiresAt.Time, 5*time.Second)
		res = refresh(3 * time.Second)
		g := c.next()
		require.Equal(t, "error", g.event)
		require.False(t, time.Now().Before(res.TokenExpiresAt.Time))
		require.Equal(t, proto.TokenExpired, g.code(t))
		code := c.closed()
		require.Empty(t, c.in, "a transport close: the client comes back")
		if !c.socket {
			require.EqualValues(t, proto.CloseTokenExpired, code)
		}
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxIdle = 300 })
	c, p := m.socketIO("ann", ""), m.plain("ann", "")
	g := c.next()
	require.Equal(t, proto.IdleTimeout, g.code(t))
	require.Equal(t, "disconnect packet", c.next().event)
	g = p.next()
	require.Equal(t, proto.IdleTimeout, g.code(t))
	require.EqualValues(t, proto.CloseIdle, p.closed())
}

func TestSilentPeerIsDropped(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.PingInterval, c.PingTimeout = 200, 5_000 })
	c := m.dial("/ws?token="+tokenFor(t, "ann", "", time.Hour), nil) // nobody reads: no pong
	_ = c
	require.Eventually(t, func() bool { return len(m.svc.hub.everyone()) == 1 }, patience, time.Millisecond)
	alive := m.plain("bob", "")
	require.Eventually(t, func() bool { return len(m.svc.hub.everyone()) == 1 }, patience, 5*time.Millisecond)
	alive.quiet()
}

func TestLimitsAreParsed(t *testing.T) {
	t.Parallel()
	rules, err := parseLimits(" message:new=2/10s , chat:join=off ", proto.Endpoints)
	require.NoError(t, err)
	require.Equal(t, services.Rule{N: 2, Per: 10 * time.Second}, rules["message:new"])
	require.NotContains(t, rules, "chat:join")
	require.Equal(t, services.Rule{N: 100, Per: time.Minute}, rules["message:delivered"])
	rules, err = parseLimits("off", proto.Endpoints)
	require.NoError(t, err)
	require.Empty(t, rules)
	for _, bad := range []string{"x", "message:new", "message:new=", "message:new=0/1s", "message:new=5", "message:new=5/", "message:new=5/x", "no:such=5/1s", "message:new=-1/1s", "message:new=5/48h"} {
		_, err := parseLimits(bad, proto.Endpoints)
		require.Error(t, err, bad)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	ok := testConfig()
	ok.CORSOrigin = []string{"null", "file://", "https://app.example.org", "capacitor://localhost"}
	require.NoError(t, ok.Validate())
	for name, change := range map[string]func(*Config){
		"JWT_SECRET or JWKS_URL": func(c *Config) { c.JWTSecret = "" },
		"JWT_SECRET must":        func(c *Config) { c.JWTSecret = "short" },
		"ADMIN_TOKEN":            func(c *Config) { c.AdminToken = "short" },
		"PORT":                   func(c *Config) { c.Port = 70000 },
		"SOCKETIO_PING_INTERVAL": func(c *Config) { c.PingInterval = 0 },
		"CORS_ORIGIN=*":          func(c *Config) { c.CORSOrigin, c.Production = []string{"*"}, true },
		"CORS_ORIGIN: ":          func(c *Config) { c.CORSOrigin = []string{"example.org"} },
		"READ_TIMEOUT":           func(c *Config) { c.ReadTimeout = 0 },
		"MIN_READ_RATE":          func(c *Config) { c.MinReadRate = 0 },
		"RATE_LIMITS":            func(c *Config) { c.RateLimits = "x=1" },
		"DRAIN_RATE":             func(c *Config) { c.DrainRate = 0 },
	} {
		cfg := testConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), name)
		require.NotContains(t, cfg.Validate().Error(), testSecret)
	}
}
