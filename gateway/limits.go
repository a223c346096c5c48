package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// connectRule is the Limiter's rule for connections of one user. No event can
// have this name: it has a space.
const connectRule = "new connection"

// parseLimits is the rate limit of every client event: the catalogue's, changed
// by RATE_LIMITS ("message:new=30/60s,chat:join=off"; "off" alone is no limit
// anywhere).
func parseLimits(overrides string, endpoints []proto.Described) (map[string]services.Rule, error) {
	rules := make(map[string]services.Rule)
	known := make(map[string]bool)
	for _, e := range endpoints {
		row, _, _ := e.Describe()
		if row.Event == "" {
			continue
		}
		known[row.Event] = true
		if row.Limit.N > 0 {
			rules[row.Event] = services.Rule{N: row.Limit.N, Per: row.Limit.Per}
		}
	}
	if strings.TrimSpace(overrides) == "off" {
		return map[string]services.Rule{}, nil
	}
	for part := range strings.SplitSeq(overrides, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		event, value, ok := strings.Cut(part, "=")
		if !ok || !known[event] {
			return nil, fmt.Errorf("RATE_LIMITS: %q is not <event>=<n>/<window> with an event of the catalogue", part)
		}
		if value == "off" {
			delete(rules, event)
			continue
		}
		rule, err := parseRule(value)
		if err != nil {
			return nil, fmt.Errorf("RATE_LIMITS: %s: %w", event, err)
		}
		rules[event] = rule
	}
	return rules, nil
}

func parseRule(value string) (services.Rule, error) {
	count, window, ok := strings.Cut(value, "/")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 || n > 1_000_000 {
		return services.Rule{}, fmt.Errorf("%q is not <n>/<window>", value)
	}
	per, err := time.ParseDuration(window)
	if err != nil || per < time.Millisecond || per > 24*time.Hour {
		return services.Rule{}, fmt.Errorf("%q is not a window such as 60s", window)
	}
	return services.Rule{N: n, Per: per}, nil
}

// limitTable is the rules as `connected` shows them.
func limitTable(rules map[string]services.Rule) proto.LimitTable {
	table := make(proto.LimitTable, len(rules))
	for event, r := range rules {
		if event != connectRule {
			table[event] = proto.LimitRow{Limit: r.N, WindowMs: r.Per.Milliseconds()}
		}
	}
	return table
}
