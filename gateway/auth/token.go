package auth

import (
	"encoding/base64"
	"strings"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// parts is a token in the compact form of RFC 7515 §7.1, taken apart and not yet verified.
type parts struct {
	header    header
	claims    []byte // JSON
	signed    string // header and claims as they came: what the signature covers
	signature []byte
}

// header is what counts of a JOSE header (RFC 7515 §4). Fields that bring a key or name
// where one is (jwk, jku, x5c, x5u) are not read: keys come from the configuration.
type header struct {
	Alg  string    `json:"alg"`
	Kid  *string   `json:"kid"`
	Crit proto.Raw `json:"crit"`
	B64  proto.Raw `json:"b64"`
}

// fields returns the header in the form that the lookup of a public key expects.
func (h header) fields() map[string]any {
	fields := map[string]any{"alg": h.Alg}
	if h.Kid != nil {
		fields["kid"] = *h.Kid
	}
	return fields
}

// split takes a token apart; ok is false for one that is not of three parts, each
// base64url without padding, with a header that can be understood. A critical extension
// is refused: none is understood here (RFC 7515 §4.1.11). So is an unencoded payload (RFC 7797).
func split(token string) (t parts, ok bool) {
	if len(token) > MaxToken || strings.Count(token, ".") != 2 {
		return t, false
	}
	end := strings.LastIndexByte(token, '.')
	t.signed = token[:end]
	first, second, _ := strings.Cut(t.signed, ".")
	raw, ok := decodePart(first)
	if !ok || len(raw) == 0 || wire.Unmarshal(raw, &t.header) != nil {
		return t, false
	}
	if t.header.Alg == "" || t.header.Crit != nil || t.header.B64 != nil {
		return t, false
	}
	if t.claims, ok = decodePart(second); !ok || len(t.claims) == 0 {
		return t, false
	}
	t.signature, ok = decodePart(token[end+1:])
	return t, ok && len(t.signature) > 0
}

var encoding = base64.RawURLEncoding.Strict()

// decodePart decodes one part. The library would skip line breaks in it.
func decodePart(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	raw, err := encoding.DecodeString(s)
	return raw, err == nil
}
