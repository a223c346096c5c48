package mint

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"supmesh.dev/proto"
)

// Claims are what a token says (CONTRACT §3).
type Claims struct {
	UserID   string `json:"userId"`
	DeviceID string `json:"deviceId,omitempty"`
	Name     string `json:"name,omitempty"`
	Avatar   string `json:"avatar,omitempty"`
	Type     string `json:"type"`
	jwt.RegisteredClaims
}

// Token is an HS256 token of user, valid from now for ttl. Device and name may
// be empty.
func Token(secret, user, device, name string, ttl time.Duration) (string, error) {
	if secret == "" {
		return "", errors.New("mint token: no key")
	}
	if err := proto.CheckID(user); err != nil {
		return "", fmt.Errorf("mint token: user: %w", err)
	}
	if device != "" {
		if err := proto.CheckID(device); err != nil {
			return "", fmt.Errorf("mint token: device: %w", err)
		}
	}
	if ttl <= 0 {
		return "", errors.New("mint token: ttl must be more than 0")
	}
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, Claims{
		UserID: user, DeviceID: device, Name: name, Type: "access",
		RegisteredClaims: jwt.RegisteredClaims{
			ID: rand.Text(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
	}).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return token, nil
}
