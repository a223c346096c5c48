package fair

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

func key(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// sound checks the bucket's table against its counts.
func sound(t require.TestingT, b *Bucket) {
	var sum int64
	for k, s := range b.keys {
		require.Equal(t, k, s.key)
		require.Positive(t, s.taken)
		sum += s.taken
	}
	require.Equal(t, b.taken, sum)
	require.LessOrEqual(t, b.taken, b.rate)
	n := 0
	for s := b.next; s != nil; s = s.behind {
		require.Same(t, s, s.behind.before)
		if n++; s.behind == b.next {
			break
		}
	}
	require.Len(t, b.keys, n)
}

// TestBucketModel takes tokens for random keys at random times: the table stays as small as the
// bucket, and no more is granted than a bucket of that rate grants.
func TestBucketModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 50).Draw(t, "rate")
		b := New(rate)
		now, granted := start, 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "pause")) * time.Millisecond)
			k := key(uint32(rapid.IntRange(0, 100).Draw(t, "key")))
			fresh := b.keys[k] == nil
			switch b.Take(k, now) {
			case Granted:
				granted++
			case Empty:
				require.Equal(t, b.rate, b.taken)
			case OverShare:
				require.False(t, fresh, "a key that has taken nothing is within its share")
			}
			sound(t, b)
			require.LessOrEqual(t, float64(granted), float64(rate)*(1+now.Sub(start).Seconds()))
		}
	})
}

// TestLoneKeyGetsTheRate: shares cost nothing while nobody else wants any.
func TestLoneKeyGetsTheRate(t *testing.T) {
	t.Parallel()
	b, granted := New(1000), 0
	for i := range 100_000 { // ten seconds at ten times the rate
		if b.Take(key(1), start.Add(time.Duration(i)*100*time.Microsecond)) == Granted {
			granted++
		}
	}
	require.InDelta(t, 10_500, granted, 20, "half the burst, and then the rate")
}

// TestOneKeyCannotShutOutOthers: a key at fifty times the rate, and keys that take less than their
// part. Not one of their tokens is refused.
func TestOneKeyCannotShutOutOthers(t *testing.T) {
	t.Parallel()
	for _, hogs := range []int{1, 10, 100} {
		const rate = 1000
		b := New(rate)
		var tried, passed [2]int
		for ms := range 10_000 {
			now := start.Add(time.Duration(ms) * time.Millisecond)
			for i := range 50 {
				tried[0]++
				if b.Take(key(uint32((ms*50+i)%hogs)), now) == Granted {
					passed[0]++
				}
			}
			if ms%2 == 0 { // 500 a second, each key once
				tried[1]++
				if b.Take(key(uint32(1<<20+ms)), now) == Granted {
					passed[1]++
				}
			}
		}
		require.Equal(t, tried[1], passed[1], "%d hogs", hogs)
		require.InDelta(t, rate*10/2, passed[0], rate, "%d hogs get what is left", hogs)
	}
}

// TestManyKeysShareEqually: a flood from many keys leaves each its part, and the table is bounded.
func TestManyKeysShareEqually(t *testing.T) {
	t.Parallel()
	const rate, flood, honest = 1000, 400, 20
	b := New(rate)
	passed := map[uint32]int{}
	most := 0
	for ms := range 20_000 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		for i := range 20 { // each key of the flood 50 times a second
			if k := uint32((ms*20 + i) % flood); b.Take(key(k), now) == Granted {
				passed[k]++
			}
		}
		for i := range uint32(honest) { // each honest key once a second
			if ms%1000 == int(i)*50 && b.Take(key(1<<20+i), now) == Granted {
				passed[1<<20+i]++
			}
		}
		most = max(most, len(b.keys))
	}
	for i := range uint32(honest) {
		require.Equal(t, 20, passed[1<<20+i], "an honest key")
	}
	require.LessOrEqual(t, most, rate)
	for k := range uint32(flood) {
		require.InDelta(t, 49, passed[k], 5)
	}
}

// TestRefusedKeysAreNotKept: an attacker with any number of addresses does not grow the table.
func TestRefusedKeysAreNotKept(t *testing.T) {
	t.Parallel()
	b := New(100)
	for i := range uint32(100_000) {
		b.Take(key(i), start)
	}
	require.Len(t, b.keys, 100)
	require.Equal(t, Granted, b.Take(key(1<<30), start.Add(10*time.Millisecond)), "a new key gets the next token")
	b.Take(key(1), start.Add(time.Hour))
	sound(t, b)
	require.Len(t, b.keys, 1)
}

func BenchmarkTake(b *testing.B) {
	bucket := New(1 << 20)
	for i := range b.N {
		bucket.Take(key(uint32(i)), start.Add(time.Duration(i)*time.Microsecond))
	}
}
