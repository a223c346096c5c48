package push

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/notify/push/guard"
)

// MaxAfter bounds what a provider may ask for by Retry-After.
const MaxAfter = time.Hour

// After reads Retry-After (RFC 9110 §10.2.3): seconds or a date. Zero is no word;
// anything longer than MaxAfter is MaxAfter.
func After(h http.Header, now time.Time) time.Duration {
	raw := strings.TrimSpace(h.Get("Retry-After"))
	if raw == "" {
		return 0
	}
	if n, err := strconv.ParseUint(raw, 10, 63); err == nil {
		return time.Duration(min(n, uint64(MaxAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) && raw[0] != '-' {
		return MaxAfter
	}
	at, err := http.ParseTime(raw)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxAfter)
}

// FromStatus is the outcome of an HTTP status as most providers mean it: taken
// (2xx), not now (408, 425, 429, 5xx), or never (all others). Which one says that
// the registration is gone is the provider's own.
func FromStatus(status int, h http.Header, now time.Time) Outcome {
	o := Outcome{Status: Rejected, Detail: fmt.Sprintf("answered %d", status)}
	switch {
	case status >= 200 && status < 300:
		o.Status = Delivered
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		o.Status, o.After = Retry, After(h, now)
	case status >= 300 && status < 400:
		o.Detail += ", redirects are not followed"
	}
	return o
}

// FromError is the outcome of a request without an answer.
func FromError(err error) Outcome {
	o := Outcome{Status: Retry, Detail: guard.Reason(err)}
	if errors.Is(err, guard.ErrForbidden) {
		o.Status = Rejected
	}
	return o
}

// Refused is the outcome of a registration or a push that cannot be right.
func Refused(why string) Outcome { return Outcome{Status: Rejected, Detail: why} }
