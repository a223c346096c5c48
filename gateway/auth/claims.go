package auth

import (
	"math"
	"slices"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// claims are those of CONTRACT §3 and RFC 7519 §4.1. Claims that are read only sometimes
// stay raw, so that a type which does not matter refuses nobody.
type claims struct {
	UserID    *string   `json:"userId"`
	Subject   proto.Raw `json:"sub"`
	DeviceID  string    `json:"deviceId"`
	Type      string    `json:"type"`
	Name      label     `json:"name"`
	Avatar    label     `json:"avatar"`
	ID        label     `json:"jti"`
	ExpiresAt *float64  `json:"exp"`
	NotBefore *float64  `json:"nbf"`
	IssuedAt  *float64  `json:"iat"`
	Issuer    proto.Raw `json:"iss"`
	Audience  proto.Raw `json:"aud"`
}

// label is text that some issuers write as a number: the number's digits then.
type label string

// UnmarshalJSON implements json.Unmarshaler.
func (l *label) UnmarshalJSON(raw []byte) error {
	if c := raw[0]; c == '-' || c >= '0' && c <= '9' {
		*l = label(raw)
		return nil
	}
	return wire.Unmarshal(raw, (*string)(l))
}

// readClaims reads claims like all other input: exact names, each once, each of its type.
func readClaims(raw []byte) (*claims, error) {
	var c claims
	if err := wire.Unmarshal(raw, &c); err != nil {
		return nil, badPayload("the claims cannot be read")
	}
	return &c, nil
}

const (
	// maxText bounds a name and a token's id, in bytes: they travel with every request.
	maxText = 512
	// maxAvatar bounds an avatar's address, in bytes.
	maxAvatar = 4 * maxText
	// maxDate is the end of the year 9999 in Unix seconds. A date in milliseconds is beyond it.
	maxDate = 253_402_300_799
	// maxYears bounds how far ahead a token may expire.
	maxYears = 100
)

// identity judges the claims of a token whose signature is good.
func (v *Verifier) identity(c *claims) (Identity, error) {
	expires, err := v.checkDates(c)
	if err != nil {
		return Identity{}, err
	}
	if err := v.checkParties(c); err != nil {
		return Identity{}, err
	}
	var user string
	switch {
	case c.UserID != nil:
		user = *c.UserID
	case c.Subject != nil && wire.Unmarshal(c.Subject, &user) != nil:
		return Identity{}, badPayload("sub is not a string")
	}
	switch {
	case proto.CheckID(user) != nil:
		return Identity{}, badPayload("userId is missing or malformed")
	case c.DeviceID != "" && proto.CheckID(c.DeviceID) != nil:
		return Identity{}, badPayload("deviceId is malformed")
	case c.Type != "access":
		return Identity{}, badPayload("type is not access")
	case len(c.Name) > maxText || len(c.Avatar) > maxAvatar || len(c.ID) > maxText:
		return Identity{}, badPayload("name, avatar or jti is too long")
	}
	return Identity{
		User: user, Device: c.DeviceID, Name: string(c.Name), Avatar: string(c.Avatar), ID: string(c.ID), Expires: expires,
	}, nil
}

// checkDates returns when the connection must end. Dates out of range are judged first:
// they say nothing of a token's age, and *expired* would make apps fetch the next one.
func (v *Verifier) checkDates(c *claims) (expires time.Time, err error) {
	for _, date := range []*float64{c.ExpiresAt, c.NotBefore, c.IssuedAt} {
		if date != nil && (*date < 0 || *date > maxDate) {
			return expires, badPayload("exp, nbf or iat is out of range")
		}
	}
	if c.ExpiresAt == nil || c.IssuedAt == nil {
		return expires, badPayload("exp or iat is missing")
	}
	now, leeway := v.cfg.Now(), v.cfg.Leeway
	expires, issued := dateOf(*c.ExpiresAt), dateOf(*c.IssuedAt)
	switch {
	case expires.After(now.AddDate(maxYears, 0, 0)):
		return expires, badPayload("exp is out of range")
	case !now.Before(expires.Add(leeway)):
		return expires, expired()
	case expires.Before(issued):
		return expires, badPayload("exp is before iat")
	case now.Add(leeway).Before(issued), c.NotBefore != nil && now.Add(leeway).Before(dateOf(*c.NotBefore)):
		return expires, invalid("not valid yet")
	case v.cfg.MaxLifetime > 0 && expires.Sub(issued) > v.cfg.MaxLifetime:
		return expires, badPayload("lives too long")
	}
	if !expires.After(now) {
		expires = expires.Add(leeway)
	}
	return expires, nil
}

// dateOf converts a NumericDate of RFC 7519 §2: seconds, which may have a fraction.
func dateOf(seconds float64) time.Time {
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second)))
}

// checkParties compares issuer and audience with what is configured.
func (v *Verifier) checkParties(c *claims) error {
	if want := v.cfg.Issuer; want != "" {
		var issuer string
		if c.Issuer != nil && wire.Unmarshal(c.Issuer, &issuer) != nil {
			return badPayload("iss is not a string")
		}
		if issuer != want {
			return invalid("issuer or audience")
		}
	}
	if want := v.cfg.Audience; want != "" {
		audience, err := audienceOf(c.Audience)
		if err != nil {
			return err
		}
		if !slices.Contains(audience, want) {
			return invalid("issuer or audience")
		}
	}
	return nil
}

// audienceOf reads one name or an array of names (RFC 7519 §4.1.3).
func audienceOf(raw proto.Raw) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var one string
	if wire.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var all []string
	if wire.Unmarshal(raw, &all) != nil {
		return nil, badPayload("aud is neither a string nor an array of strings")
	}
	return all, nil
}
