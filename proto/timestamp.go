package proto

import (
	"fmt"
	"time"
)

// TimeLayout is RFC 3339 in UTC with milliseconds: the contract's `ts`.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Timestamp is a moment on the wire, as TimeLayout.
type Timestamp struct{ time.Time }

// At is t cut to milliseconds, in UTC.
func At(t time.Time) Timestamp { return Timestamp{t.UTC().Truncate(time.Millisecond)} }

// AppendText writes TimeLayout.
func (t Timestamp) AppendText(b []byte) ([]byte, error) {
	return t.UTC().AppendFormat(b, TimeLayout), nil
}

// MarshalJSON writes TimeLayout in quotes. Without it the embedded Time's own
// method would win, and its fraction has as many digits as it needs.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	b, err := t.AppendText([]byte{'"'})
	return append(b, '"'), err
}

// UnmarshalJSON reads what UnmarshalText does, as a JSON string; null changes nothing.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("must be an RFC 3339 time")
	}
	return t.UnmarshalText(b[1 : len(b)-1])
}

// MarshalText writes TimeLayout.
func (t Timestamp) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText reads any RFC 3339 time.
func (t *Timestamp) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return fmt.Errorf("must be an RFC 3339 time")
	}
	*t = At(v)
	return nil
}
