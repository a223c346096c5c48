package bench

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ownCommands are those of the look at the counters itself.
var ownCommands = map[string]bool{"info": true, "hello": true, "client|setinfo": true, "ping": true}

// redisCommands is how many commands Redis has run since its start, by name.
// Those that a script runs count beside the script.
func (s *system) redisCommands(ctx context.Context) (map[string]int64, error) {
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer func() { _ = client.Close() }() // nothing is pending
	page, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("count Redis commands: %w", err)
	}
	return parseCommands(page), nil
}

func parseCommands(page string) map[string]int64 {
	calls := map[string]int64{}
	lines := bufio.NewScanner(strings.NewReader(page))
	for lines.Scan() {
		name, rest, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "cmdstat_"), ":calls=")
		if !ok || ownCommands[name] {
			continue
		}
		number, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			calls[name] = n
		}
	}
	return calls
}

// calmest is how few commands a second are the work of nobody in particular.
const calmest = 100

// calm waits until the set-up's work is done, which goes on in the background:
// at least for settle, and at most a minute longer.
func (s *system) calm(ctx context.Context, settle time.Duration) (commands map[string]int64, err error) {
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	if commands, err = s.redisCommands(ctx); err != nil {
		return nil, err
	}
	const look = 3 * time.Second
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		before := commands
		if err := wait(ctx, look); err != nil {
			return nil, err
		}
		if commands, err = s.redisCommands(ctx); err != nil {
			return nil, err
		}
		if since(before, commands) < calmest*look.Seconds() {
			break
		}
	}
	return commands, nil
}

// busiest names the commands that were run most after before.
func busiest(before, after map[string]int64, most int) string {
	names := slices.SortedFunc(maps.Keys(after), func(a, b string) int {
		return cmp.Or(cmp.Compare(after[b]-before[b], after[a]-before[a]), strings.Compare(a, b))
	})
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %d", name, after[name]-before[name]))
	}
	return strings.Join(parts, ", ")
}

// since is what was run after before, all together.
func since(before, after map[string]int64) (total float64) {
	for name, n := range after {
		total += float64(n - before[name])
	}
	return total
}
