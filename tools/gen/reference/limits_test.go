package reference

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// TestLimitsAreAsWritten holds the sentence on limits in API.md against what the limiter
// does with the rule of message:new: so many at once, then one each interval, and after
// the retryAfter of a refusal one passes.
func TestLimitsAreAsWritten(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../proto/schema/API.md")
	require.NoError(t, err)
	text := regexp.MustCompile(`\*(\d+)/min\* lets (\d+) through at once and then one\s+every ([\d.]+) s`).FindStringSubmatch(string(page))
	require.Len(t, text, 4, "the sentence is there")
	require.Contains(t, string(page), limits(), "API.md is generated")
	atOnce, err := strconv.Atoi(text[2])
	require.NoError(t, err)
	require.Equal(t, text[1], text[2])
	interval, err := time.ParseDuration(text[3] + "s")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(proto.SendMessage.Limit.N), text[1])

	row := proto.SendMessage.Row
	rules := map[string]services.Rule{row.Event: {N: row.Limit.N, Per: row.Limit.Per}}
	limiter := servicestest.NewHost(t, "gateway", servicestest.RunNATS(t), servicestest.RunRedis(t)).NewLimiter("u", rules)
	began := time.Now()
	for n := range atOnce {
		ok, _ := limiter.Allow(t.Context(), row.Event, "ann")
		require.True(t, ok, "number %d at once", n+1)
	}
	ok, wait := limiter.Allow(t.Context(), row.Event, "ann")
	for passed := 0; ok; passed++ { // the machine took an interval for those before
		require.Less(t, passed, 2+int(time.Since(began)/interval))
		ok, wait = limiter.Allow(t.Context(), row.Event, "ann")
	}
	require.Positive(t, wait)
	require.LessOrEqual(t, wait, interval+time.Millisecond)
	passed := make(chan bool, 1)
	timer := time.AfterFunc(wait, func() {
		ok, _ := limiter.Allow(t.Context(), row.Event, "ann")
		passed <- ok
	})
	defer timer.Stop()
	require.True(t, <-passed, "after retryAfter one passes")
}
