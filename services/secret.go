package services

import "log/slog"

// Secret is a setting that must not be seen: whatever prints it shows ***.
// Only Reveal gives the value.
type Secret string

const hidden = "***"

// Reveal is the value itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) mask() string {
	if s == "" {
		return ""
	}
	return hidden
}

// String hides the value from fmt; an empty secret prints as empty, so that
// "not set" can be told from "set".
func (s Secret) String() string { return s.mask() }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.mask() + `"` }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.mask()) }

// MarshalText hides the value from text encoders, JSON among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }

// MarshalJSON hides the value from JSON encoders.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.mask() + `"`), nil }
