package bench

import (
	"fmt"
	"os"
	"time"
)

// self is how this process is called among the measured ones.
const self = "bench"

// usage is what every process has used at one moment.
type usage struct {
	at        time.Time
	cpu       map[string]time.Duration
	delivered int64
	stored    int64
}

// measure looks at every process of the system and at this one.
func (s *system) measure(t *tally) (usage, error) {
	u := usage{at: time.Now(), cpu: map[string]time.Duration{}}
	if t != nil {
		u.delivered, u.stored = t.deliveredNow.Load(), t.ackedNow.Load()
	}
	for name, pid := range s.pids() {
		cpu, err := cpuTime(pid)
		if err != nil {
			return usage{}, fmt.Errorf("%s: %w", name, err)
		}
		u.cpu[name] = cpu
	}
	return u, nil
}

// memories is what every process holds now.
func (s *system) memories() (map[string]memory, error) {
	m := map[string]memory{}
	for name, pid := range s.pids() {
		held, err := memoryOf(pid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m[name] = held
	}
	return m, nil
}

func (s *system) pids() map[string]int {
	pids := map[string]int{self: os.Getpid()}
	for _, c := range s.children {
		pids[c.name] = c.pid()
	}
	return pids
}

// names lists the processes in the order they were started, this one last.
func (s *system) names() []string {
	var names []string
	for _, c := range s.children {
		names = append(names, c.name)
	}
	return append(names, self)
}
