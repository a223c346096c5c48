package mesh

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// Token mints an access token of the test mesh, valid for an hour.
func Token(t testing.TB, user, device string) string {
	t.Helper()
	return TokenUntil(t, user, device, time.Now().Add(time.Hour))
}

// TokenUntil mints one with an expiry of the test's choice.
func TokenUntil(t testing.TB, user, device string, exp time.Time) string {
	t.Helper()
	claims := jwt.MapClaims{"userId": user, "type": "access", "name": "Name of " + user, "iat": time.Now().Add(-time.Minute).Unix(), "exp": exp.Unix()}
	if device != "" {
		claims["deviceId"] = device
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(Secret))
	require.NoError(t, err)
	return s
}
