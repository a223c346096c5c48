package settings

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPage(t *testing.T) {
	t.Setenv("PORT", "9") // a page must not depend on where it is made
	b, err := File()
	require.NoError(t, err)
	page := string(b)
	for _, want := range []string{
		"| `PORT` | `--port` | number | `3001` | Its port; 0 for any free one. |",
		"| `SOCKETIO_PING_INTERVAL` | `--ping-interval` | number, ms | `25000` | Time between pings, ms. |",
		"| `DRAIN_TIMEOUT` | `--drain-timeout` | duration | `10s` |",
		"| `JWT_SECRET` | `--jwt-secret` | **secret** |  |",
		"| `PRODUCTION` | `--production` | bool | `false` |",
		"| `POLLER` | `--poller` | bool | `true` |",
		"| `JWKS_ALGORITHMS` | `--jwks-algorithms` | list | `RS256,ES256,EdDSA` |",
		"| `CHAT_POLICY` | `--chat-policy` | text | `members` |",
		"| `DATA_DIR` | `--data-dir` | text | `./data` |",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, []string{"Every service", "gateway", "chat", "presence", "signaling", "reactions", "notify", "sup up"}, titles(page))
}

func titles(page string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(page, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestSharedSettingsStandOnce: services read the chassis's settings too, the
// page names them in one place.
func TestSharedSettingsStandOnce(t *testing.T) {
	t.Parallel()
	all, err := sections()
	require.NoError(t, err)
	seen := map[string]string{}
	for _, s := range all[:3] {
		require.NotEmpty(t, s.rows, s.title)
		for _, r := range s.rows {
			require.Empty(t, seen[r.variable], "%s stands twice", r.variable)
			seen[r.variable] = s.title
			require.True(t, strings.HasSuffix(r.help, "."), "%s: the help is a sentence: %q", r.variable, r.help)
		}
	}
	require.Equal(t, "Every service", seen["NATS_URL"])
	require.Equal(t, "gateway", seen["ADMIN_TOKEN"])
	require.Equal(t, "chat", seen["CHAT_SEND_WORKERS"])
}

func TestSettingsThatAPageCannotShow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config any
		want   string
	}{
		"no variable": {&struct {
			Port int `help:"Port."`
		}{}, "--port has 0 environment variables"},
		"no help": {&struct {
			Port int `env:"PORT"`
		}{}, "PORT has no help text"},
		"no word": {&struct {
			Ratio float64 `env:"RATIO" help:"Ratio."`
		}{}, "RATIO: no word for the type float64"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(c.config, nil)
			require.ErrorContains(t, err, c.want)
		})
	}
}
