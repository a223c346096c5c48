package proto_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestTimestampAlwaysHasMilliseconds(t *testing.T) {
	t.Parallel()
	cet := time.FixedZone("CET", 3600)
	for want, at := range map[string]time.Time{
		`"2026-03-09T12:30:05.000Z"`: time.Date(2026, 3, 9, 12, 30, 5, 0, time.UTC),
		`"2026-03-09T12:30:05.120Z"`: time.Date(2026, 3, 9, 12, 30, 5, 120_999_999, time.UTC),
		`"2026-03-09T11:30:05.000Z"`: time.Date(2026, 3, 9, 12, 30, 5, 0, cet),
	} {
		b, err := json.Marshal(proto.At(at))
		require.NoError(t, err)
		require.Equal(t, want, string(b))
		b, err = json.Marshal(struct{ At *proto.Timestamp }{At: &proto.Timestamp{Time: at}})
		require.NoError(t, err)
		require.Equal(t, `{"At":`+want+`}`, string(b))
	}
}

func TestTimestampReadsRFC3339(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`"2026-03-09T12:30:05Z"`, `"2026-03-09T13:30:05+01:00"`, `"2026-03-09T12:30:05.000999Z"`,
	} {
		var ts proto.Timestamp
		require.NoError(t, json.Unmarshal([]byte(in), &ts), in)
		require.Equal(t, proto.At(time.Date(2026, 3, 9, 12, 30, 5, 0, time.UTC)), ts, in)
	}
	for _, in := range []string{`""`, `"yesterday"`, `1773059405000`, `"2026-03-09"`, `true`, `{}`, `"`} {
		var ts proto.Timestamp
		require.Error(t, json.Unmarshal([]byte(in), &ts), in)
	}
	ts := proto.At(time.Unix(1, 0))
	require.NoError(t, json.Unmarshal([]byte(`null`), &ts))
	require.Equal(t, proto.At(time.Unix(1, 0)), ts)
}
