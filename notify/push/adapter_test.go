package push_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
)

// sized encodes a push as its texts, so that a limit is a number of bytes of them.
func sized(p *proto.Push) ([]byte, error) {
	return []byte(p.Title + "|" + p.Message + "|" + string(p.Data)), nil
}

// TestFitKeepsAsMuchAsFits: to the byte, less what is no whole character.
func TestFitKeepsAsMuchAsFits(t *testing.T) {
	t.Parallel()
	whole := proto.Push{Title: "title", Message: "message", Data: proto.Raw("{}")}
	for _, row := range []struct {
		push  proto.Push
		limit int
		want  string // "" is nothing
	}{
		{whole, 16, "title|message|{}"},
		{whole, 15, "title|message|"},
		{whole, 14, "title|message|"},
		{whole, 13, "title|mes…|"}, // … is three bytes
		{whole, 12, "title|me…|"},
		{whole, 11, "title|m…|"},
		{whole, 10, "title||"},
		{whole, 7, "title||"},
		{whole, 6, "t…||"},
		{whole, 5, "||"},
		{whole, 2, "||"},
		{whole, 1, ""},
		{proto.Push{Message: "äöü"}, 8, "|äöü|"},
		{proto.Push{Message: "äöü"}, 7, "|ä…|"},
		{proto.Push{Message: "äöü"}, 6, "||"},
	} {
		got, err := push.Fit(&row.push, row.limit, sized)
		require.NoError(t, err)
		require.Equal(t, row.want, string(got), "%d bytes", row.limit)
	}
	broken := errors.New("broken")
	calls := 0
	_, err := push.Fit(&whole, 1, func(*proto.Push) ([]byte, error) {
		if calls++; calls < 3 {
			return make([]byte, 10), nil
		}
		return nil, broken
	})
	require.ErrorIs(t, err, broken)
	_, err = push.Fit(&whole, 1, func(*proto.Push) ([]byte, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
}

func TestAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "\t5\t": 5 * time.Second, "0": 0, "-5": 0, "soon": 0, "3600": time.Hour, "3601": push.MaxAfter,
		"99999999999999999999": push.MaxAfter, "-99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat):   time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):  0,
		now.Add(2 * time.Hour).Format(http.TimeFormat): push.MaxAfter,
	} {
		require.Equal(t, want, push.After(http.Header{"Retry-After": {text}}, now), "%q", text)
	}
	require.Zero(t, push.After(nil, now))
}

func TestFromStatus(t *testing.T) {
	t.Parallel()
	h := http.Header{"Retry-After": {"7"}}
	for status, want := range map[int]push.Status{
		199: push.Rejected, 200: push.Delivered, 204: push.Delivered, 299: push.Delivered, 300: push.Rejected, 399: push.Rejected,
		400: push.Rejected, 404: push.Rejected, 408: push.Retry, 410: push.Rejected, 425: push.Retry, 429: push.Retry, 499: push.Rejected,
		500: push.Retry, 503: push.Retry, 599: push.Retry,
	} {
		o := push.FromStatus(status, h, time.Now())
		require.Equal(t, want, o.Status, status)
		detail := "answered " + strconv.Itoa(status)
		if status >= 300 && status < 400 {
			detail += ", redirects are not followed"
		}
		require.Equal(t, detail, o.Detail)
		require.Equal(t, want == push.Retry, o.After == 7*time.Second, status)
	}
}

func TestFromError(t *testing.T) {
	t.Parallel()
	require.Equal(t, push.Retry, push.FromError(errors.New("reset")).Status)
	require.Equal(t, push.Rejected, push.FromError(guard.ErrForbidden).Status, "an address that may not be asked")
	require.Equal(t, push.Outcome{Status: push.Rejected, Detail: "why"}, push.Refused("why"))
}
