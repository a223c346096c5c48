package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is Linux's USER_HZ, fixed at 100 for what /proc shows.
const tick = 10 * time.Millisecond

// cpuTime is the user plus system time a process has used, all its threads.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read cpu time: %w", err)
	}
	return parseStat(stat)
}

// parseStat reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The
// name in field 2 may itself hold spaces and parentheses.
func parseStat(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("parse stat %.80q: no name", stat)
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("parse stat %.80q: %d fields", stat, len(fields))
	}
	var ticks uint64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// memory is what a process holds, in bytes.
type memory struct{ rss, pss int64 }

func memoryOf(pid int) (memory, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return memory{}, fmt.Errorf("read memory: %w", err)
	}
	m := memory{rss: kilobytes(status, "VmRSS:")}
	if rollup, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
		m.pss = kilobytes(rollup, "Pss:") // absent on old kernels
	}
	return m, nil
}

// kilobytes finds the line `name  123 kB` and gives bytes, 0 without one.
func kilobytes(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64) // 0 for what is no number
				return n << 10
			}
		}
	}
	return 0
}
