package wsconn

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whether a message comes fast enough is a rule about its bytes and their times: 512 bytes a second, looked at every 10 s.
func TestPaceOfAMessage(t *testing.T) {
	t.Parallel()
	type step struct {
		bytes int
		after time.Duration
		as    byte // opcode of a control frame that comes whole; 0: bytes of the message
	}
	repeat := func(n int, steps ...step) (all []step) {
		for range n {
			all = append(all, steps...)
		}
		return all
	}
	second := time.Second
	for name, c := range map[string]struct {
		size  int
		steps []step
		ends  time.Duration // when the message is given up; 0: it is taken
	}{
		"60 KB in 13 s":           {60_000, repeat(130, step{bytes: 462, after: second / 10}), 0},
		"a mebibyte in 30 min":    {1 << 20, repeat(1800, step{bytes: 583, after: second}), 0},
		"in bursts":               {30_000, repeat(6, step{bytes: 5_120, after: 10 * second}), 0},
		"the end is nearer":       {6_000, []step{{bytes: 5_999, after: second}, {bytes: 1, after: 9 * second}}, 0},
		"1 byte/s":                {10_000, repeat(100, step{bytes: 1, after: second}), 11 * second},
		"fast, then a little":     {1 << 20, append([]step{{bytes: 900_000, after: second}}, repeat(100, step{bytes: 100, after: second})...), 12 * second},
		"a little less":           {1 << 20, repeat(100, step{bytes: 400, after: second}), 11 * second},
		"pings do not count":      {10_000, repeat(100, step{bytes: 1, after: second}, step{bytes: 125, as: opPing}), 11 * second},
		"pings do not stop it":    {20_000, repeat(20, step{bytes: 1_000, after: second}, step{bytes: 125, as: opPing}), 0},
		"pong between, then more": {6_000, []step{{bytes: 3_000, after: 9 * second}, {as: opPong}, {bytes: 3_000, after: second}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Config{}.withDefaults()
			require.NoError(t, err)
			var in inbound
			// A fragment of its own for each step, so that control frames may stand between them.
			require.Empty(t, in.feed(clientFrame(opBinary, nil), 0, &cfg))
			var now time.Duration
			left := c.size
			for _, s := range c.steps {
				now += s.after
				frame := clientFrame(finBit|s.as, make([]byte, s.bytes))
				if s.as == 0 {
					n := min(s.bytes, left)
					left -= n
					frame = clientFrame(0, make([]byte, n))
					if left == 0 {
						frame = clientFrame(finBit, make([]byte, n))
					}
				}
				if broken := in.feed(frame, int64(now), &cfg); broken != "" {
					require.Equal(t, tooSlow, broken)
					require.Equal(t, c.ends, now)
					return
				}
				if left == 0 {
					break
				}
			}
			require.Zero(t, c.ends, "it was never given up")
			require.Zero(t, left)
			require.True(t, in.border())
		})
	}
}

// A message that takes longer than MessageTimeout and never stops for so long is taken, and Receiving says that it is on its way.
func TestSteadyMessageIsTaken(t *testing.T) { //nolint:tparallel // everyVariant runs the subtests
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		t.Parallel()
		_, c, client := accepted(t, start, Config{MessageTimeout: 3 * time.Second, MessagePart: 16}, newEcho())
		payload := bytes.Repeat([]byte("steady, "), 40)
		stream := clientFrame(finBit|opText, payload)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 8; len(stream) > 0; stream = stream[n:] { // 4 s in all
			<-tick.C
			n = min(n, len(stream))
			client.write(stream[:n])
			require.True(t, len(stream) == len(payload)+8 || len(stream) == n || c.Receiving())
		}
		_, got, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, string(payload), string(got))
		require.False(t, c.Receiving())
	})
}

// refused counts the answers that found no room.
type refused struct {
	echo
	n *atomic.Int64
}

func (r refused) Message(c *Conn, _ bool, data []byte) {
	if c.Send(Text(data)) != nil {
		r.n.Add(1)
	}
}

// A peer that sends a lot at once and reads the answers is answered in full, although they are more than may wait for it.
func TestAnswersOfABurst(t *testing.T) { //nolint:tparallel // everyVariant runs the subtests
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		const messages = 10_000
		h := refused{newEcho(), new(atomic.Int64)}
		client := start(Config{MaxQueueBytes: 64 << 10, SocketWriteBuffer: 4 << 10}, always(h)).dialRaw()
		burst := bytes.Repeat(clientFrame(finBit|opText, make([]byte, 100)), messages)
		go func() { _, _ = client.Write(burst) }()
		for i := range messages {
			_, payload, err := client.frame()
			require.NoError(t, err, "answer %d, %d refused", i, h.n.Load())
			require.Len(t, payload, 100)
		}
		require.Zero(t, h.n.Load())
	})
}
