package proto

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIDRunes bounds a user, device or chat id (CONTRACT §3: 1–128 printable
// characters). One 5 KB subject closes a nats.go connection for good, so the
// bound is checked before an id reaches a subject or a key.
const MaxIDRunes = 128

// escapeMark opens a token whose id had a character outside the plain set. It
// is not in the plain set itself, which is what makes the encoding injective.
const escapeMark = '='

// Token is an id encoded injectively into one NATS subject token and one Redis
// key segment. Only EncodeID makes one, so a subject builder cannot be handed
// raw user input.
type Token string

// EncodeID maps an id to its token: an id of [A-Za-z0-9_-] stands for itself,
// any other becomes '=' and the base64url of its bytes. The result holds no
// '.', '*', '>', ':', '{' or space and is at most 684 bytes long.
// It returns INVALID_PAYLOAD for an id that is empty, too long or not printable.
func EncodeID(id string) (Token, error) {
	if plain(id) {
		return Token(id), nil
	}
	if err := CheckID(id); err != nil {
		return "", err
	}
	return Token(escapeMark) + Token(base64.RawURLEncoding.EncodeToString([]byte(id))), nil
}

// ID is the inverse of EncodeID; it refuses a token that EncodeID cannot make.
func (t Token) ID() (string, error) {
	s := string(t)
	if !strings.HasPrefix(s, string(escapeMark)) {
		if got, err := EncodeID(s); err != nil || got != t {
			return "", fmt.Errorf("decode token %q: not a plain id", s)
		}
		return s, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s[1:])
	if err != nil {
		return "", fmt.Errorf("decode token %q: %w", s, err)
	}
	if got, err := EncodeID(string(raw)); err != nil || got != t {
		return "", fmt.Errorf("decode token %q: not canonical", s)
	}
	return string(raw), nil
}

// plain is an id that is its own token: well formed, and of the plain set. Most are.
func plain(id string) bool {
	if id == "" || len(id) > MaxIDRunes {
		return false
	}
	for i := range len(id) {
		if !plainByte(id[i]) {
			return false
		}
	}
	return true
}

// CheckID says whether an id of a user, device or chat is well formed.
func CheckID(id string) error {
	if plain(id) {
		return nil
	}
	if id == "" {
		return Errorf(InvalidPayload, "must not be empty")
	}
	if len(id) > MaxIDRunes*utf8.UTFMax || utf8.RuneCountInString(id) > MaxIDRunes {
		return Errorf(InvalidPayload, "must be at most %d characters", MaxIDRunes)
	}
	for _, r := range id {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return Errorf(InvalidPayload, "must be printable characters")
		}
	}
	return nil
}

// CheckClientID says whether an id made by a client (tempId, callId) is 1–64 of
// [A-Za-z0-9._:-] (CONTRACT §3).
func CheckClientID(id string) error {
	if id == "" || len(id) > 64 {
		return Errorf(InvalidPayload, "must be 1 to 64 characters")
	}
	for i := range len(id) {
		if c := id[i]; !plainByte(c) && c != '.' && c != ':' {
			return Errorf(InvalidPayload, "must be of letters, digits and . _ : -")
		}
	}
	return nil
}

// IdempotencyKey is what the header with a backend's key is called on HTTP, and
// so the field that an error about one names.
const IdempotencyKey = "Idempotency-Key"

// MaxIdempotencyKey bounds a backend's idempotency key, in bytes.
const MaxIdempotencyKey = 255

// CheckIdempotencyKey says whether a backend's key is 1–255 visible ASCII
// characters. Quotes, in which the IETF draft wants a key, are part of it.
func CheckIdempotencyKey(key string) error {
	ok := key != "" && len(key) <= MaxIdempotencyKey
	for i := range len(key) {
		ok = ok && key[i] > ' ' && key[i] < 0x7f
	}
	if ok {
		return nil
	}
	return FieldError(IdempotencyKey, Errorf(InvalidPayload, "must be 1 to %d visible ASCII characters", MaxIdempotencyKey))
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
