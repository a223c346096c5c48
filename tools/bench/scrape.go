package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// goStats are the Go runtime's own figures that idle shows per connection.
var goStats = []struct{ metric, name, unit string }{
	{"go_memstats_heap_inuse_bytes", "heap in use", "B"},
	{"go_memstats_stack_inuse_bytes", "stack", "B"},
	{"go_goroutines", "goroutines", ""},
}

// edgeMetrics reads /metrics of the process that holds the sockets; nil where
// it has none.
func (s *system) edgeMetrics(ctx context.Context) (map[string]float64, error) {
	addr := s.metrics[s.edge]
	if addr == "" {
		return nil, nil //nolint:nilnil // the stock server has no metrics, which is no error
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	return parseMetrics(res.Body)
}

// parseMetrics keeps the samples without labels of a Prometheus text page.
func parseMetrics(page io.Reader) (map[string]float64, error) {
	values := map[string]float64{}
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" || strings.Contains(name, "{") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return values, nil
}
