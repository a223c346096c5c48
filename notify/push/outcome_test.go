package push_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

func encode(p *proto.Push) ([]byte, error) { return wire.Marshal(p) }

func TestFit(t *testing.T) {
	t.Parallel()
	long := proto.Push{Title: strings.Repeat("ä", 200), Message: strings.Repeat("😀", 1000), Data: proto.Raw(`{"a":"` + strings.Repeat("x", 3000) + `"}`)}
	whole, err := encode(&long)
	require.NoError(t, err)
	empty, err := encode(&proto.Push{})
	require.NoError(t, err)
	for limit := len(whole); limit >= len(empty); limit -= 37 {
		body, err := push.Fit(&long, limit, encode)
		require.NoError(t, err)
		require.NotNil(t, body, limit)
		require.LessOrEqual(t, len(body), limit)
		require.True(t, utf8.Valid(body))
		var got proto.Push
		require.NoError(t, wire.Restore(body, &got))
		if len(got.Message) < len(long.Message) {
			require.Empty(t, got.Data, "data go first")
			require.True(t, got.Message == "" || strings.HasSuffix(got.Message, "…"))
		}
		if len(got.Title) < len(long.Title) {
			require.Empty(t, got.Message, "the title goes last")
		}
	}
	body, err := push.Fit(&long, 10, encode)
	require.NoError(t, err)
	require.Nil(t, body)
	require.Len(t, long.Message, 4000, "the push stays as it was")
}

// TestFitIsAsMuchAsFits: nothing is cut that would have fit. One character more of what
// was cut would be too long.
func TestFitIsAsMuchAsFits(t *testing.T) {
	t.Parallel()
	for _, char := range []string{"x", "ä", "😀"} {
		long := proto.Push{Title: strings.Repeat(char, 50), Message: strings.Repeat(char, 300)}
		whole, err := encode(&long)
		require.NoError(t, err)
		body, err := push.Fit(&long, len(whole), encode)
		require.NoError(t, err)
		require.Equal(t, whole, body, "what fits is not touched")
		withData := long
		withData.Data = proto.Raw(`{"a":1}`)
		body, err = push.Fit(&withData, len(whole), encode)
		require.NoError(t, err)
		require.Equal(t, whole, body, "without data it fits")
		for limit := len(whole) - 1; limit > len(whole)-250; limit-- {
			body, err := push.Fit(&long, limit, encode)
			require.NoError(t, err)
			require.LessOrEqual(t, len(body), limit)
			var got proto.Push
			require.NoError(t, wire.Restore(body, &got))
			require.Equal(t, long.Title, got.Title, "the message goes first")
			kept := strings.TrimSuffix(got.Message, "…")
			require.True(t, strings.HasPrefix(long.Message, kept))
			require.Greater(t, len(body)+len(char)+2, limit-len("…"), "%q at %d: %d bytes are left", char, limit, limit-len(body))
		}
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.Equal(t, push.MaxTTL, push.TTL(&proto.Push{}, now))
	require.Equal(t, push.MaxTTL, push.TTL(&proto.Push{ExpiresAt: proto.At(now.Add(1000 * time.Hour))}, now))
	require.Zero(t, push.TTL(&proto.Push{ExpiresAt: proto.At(now.Add(-time.Hour))}, now))
	require.Equal(t, 59*time.Second, push.TTL(&proto.Push{ExpiresAt: proto.At(now.Add(59*time.Second + 500*time.Millisecond))}, now))
}

// Parts of an id cannot run into each other.
func TestIDs(t *testing.T) {
	t.Parallel()
	a := push.ID(&proto.Push{UserID: "ab", DeviceID: "c"})
	require.NotEqual(t, a, push.ID(&proto.Push{UserID: "a", DeviceID: "bc"}))
	require.Regexp(t, `^[A-Za-z0-9_-]{22}$`, a)
	require.Regexp(t, `^[A-Za-z0-9_-]{32}$`, push.Topic(&proto.Push{UserID: "a", CollapseKey: "room"}))
	require.NotEqual(t, push.Topic(&proto.Push{UserID: "a", CollapseKey: "room"}), push.Topic(&proto.Push{UserID: "b", CollapseKey: "room"}), "one user's key is not another's")
	require.NotEqual(t, push.Topic(&proto.Push{NotificationID: "1"}), push.Topic(&proto.Push{NotificationID: "2"}), "without a key nothing is replaced")
}
