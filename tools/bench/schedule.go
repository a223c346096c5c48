package bench

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// schedule is an open-loop plan: message i is due i/rate after the start, and
// is sent by a connection drawn by a seeded hash, so that chats see short
// bursts as they do in life and a run can be repeated.
type schedule struct {
	rate    float64 // messages per second
	count   int
	senders int
	seed    uint64
}

func newSchedule(rate float64, length time.Duration, senders int, seed uint64) schedule {
	return schedule{rate: rate, count: int(rate * length.Seconds()), senders: senders, seed: seed}
}

// due is when message i is to be sent, from the start.
func (s schedule) due(i int) time.Duration { return time.Duration(float64(i) * 1e9 / s.rate) }

// at is the first message due at or after d.
func (s schedule) at(d time.Duration) int {
	i := int(d.Seconds() * s.rate)
	for i < s.count && s.due(i) < d {
		i++
	}
	return min(i, s.count)
}

// sender is the index of the connection that sends message i (splitmix64).
func (s schedule) sender(i int) int {
	z := (uint64(i) + 1) * 0x9E3779B97F4A7C15
	z ^= s.seed
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return int((z ^ z>>31) % uint64(s.senders))
}

// pause is the shortest sleep of the sender: waking up for each single message
// would cost more than sending it. What it delays counts as latency.
const pause = 200 * time.Microsecond

// sleepUntil waits with the kernel's timer: the Go runtime's rounds up to a
// millisecond when nothing else runs. Short sleeps keep their place in the Go
// scheduler: giving it up and getting it back costs more than the sleep.
func sleepUntil(start time.Time, due time.Duration) {
	if rest := due - time.Since(start); rest > 0 {
		ts := unix.NsecToTimespec(int64(rest))
		if rest > 2*time.Millisecond {
			_ = unix.Nanosleep(&ts, nil) // cut short by a signal: the caller looks at the clock again
			return
		}
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0) //nolint:gosec // the pattern of package unsafe for system calls
	}
}
