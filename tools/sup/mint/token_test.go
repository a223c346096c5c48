package mint

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "a key of at least thirty-two bytes"

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	token, err := Token(key, "alice", "phone", "Alice A.", time.Hour)
	require.NoError(t, err)
	var got Claims
	_, err = jwt.ParseWithClaims(token, &got, func(*jwt.Token) (any, error) { return []byte(key), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	require.NoError(t, err)
	require.Equal(t, "alice", got.UserID)
	require.Equal(t, "phone", got.DeviceID)
	require.Equal(t, "Alice A.", got.Name)
	require.Equal(t, "access", got.Type)
	require.NotEmpty(t, got.ID)
	require.WithinDuration(t, time.Now().Add(time.Hour), got.ExpiresAt.Time, 5*time.Second)
	_, err = jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte("another key"), nil })
	require.ErrorIs(t, err, jwt.ErrSignatureInvalid)
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, user, device string
		ttl               time.Duration
	}{
		"no key":          {"", "alice", "", time.Hour},
		"no user":         {key, "", "", time.Hour},
		"control in user": {key, "a\nb", "", time.Hour},
		"long user":       {key, strings.Repeat("x", 129), "", time.Hour},
		"bad device":      {key, "alice", "a\x00", time.Hour},
		"no time":         {key, "alice", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Token(c.key, c.user, c.device, "", c.ttl)
			require.Error(t, err)
		})
	}
}
