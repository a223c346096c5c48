package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

func TestMoving(t *testing.T) {
	t.Parallel()
	type devices = map[string]uint64
	for name, row := range map[string]struct {
		old     receiptBody
		device  string
		seq     uint64
		verb    verb
		next    receiptBody
		move    move
		changed bool
	}{
		"the first receipt":                {receiptBody{}, "p", 3, verbDelivered, receiptBody{Devices: devices{"p": 3}}, move{delivered: span{0, 3}}, true},
		"forward":                          {receiptBody{Devices: devices{"p": 3}}, "p", 5, verbDelivered, receiptBody{Devices: devices{"p": 5}}, move{delivered: span{3, 5}}, true},
		"the same again":                   {receiptBody{Devices: devices{"p": 3}}, "p", 3, verbDelivered, receiptBody{Devices: devices{"p": 3}}, move{}, false},
		"never back":                       {receiptBody{Devices: devices{"p": 3}, Read: 3}, "p", 1, verbRead, receiptBody{Devices: devices{"p": 3}, Read: 3}, move{}, false},
		"another device has it":            {receiptBody{Devices: devices{"p": 3}}, "t", 2, verbDelivered, receiptBody{Devices: devices{"p": 3, "t": 2}}, move{delivered: span{3, 3}}, true},
		"another device has some of it":    {receiptBody{Devices: devices{"p": 3}}, "t", 5, verbDelivered, receiptBody{Devices: devices{"p": 3, "t": 5}}, move{delivered: span{3, 5}}, true},
		"reading implies delivered":        {receiptBody{}, "p", 4, verbRead, receiptBody{Devices: devices{"p": 4}, Read: 4}, move{delivered: span{0, 4}, read: span{0, 4}}, true},
		"read what was delivered":          {receiptBody{Devices: devices{"p": 4}}, "p", 4, verbRead, receiptBody{Devices: devices{"p": 4}, Read: 4}, move{read: span{0, 4}}, true},
		"read some of what was delivered":  {receiptBody{Devices: devices{"p": 9}, Read: 2}, "p", 4, verbRead, receiptBody{Devices: devices{"p": 9}, Read: 4}, move{read: span{2, 4}}, true},
		"read, and another device catches": {receiptBody{Devices: devices{"p": 9}, Read: 9}, "t", 9, verbRead, receiptBody{Devices: devices{"p": 9, "t": 9}, Read: 9}, move{delivered: span{9, 9}}, true},
		"nothing is there":                 {receiptBody{}, "p", 0, verbRead, receiptBody{}, move{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprint(row.old)
			next, m, changed := moving(row.old, row.device, row.seq, row.verb)
			require.Equal(t, row.next, next)
			require.Equal(t, row.move, m)
			require.Equal(t, row.changed, changed)
			require.Equal(t, before, fmt.Sprint(row.old), "what is remembered stays until the log has taken the next")
		})
	}
}

func TestNoticesOf(t *testing.T) {
	t.Parallel()
	by := func(seq uint64, author string) said {
		return said{seq: seq, position: 10 * seq, id: fmt.Sprint("m", seq), author: author}
	}
	for name, row := range map[string]struct {
		joined  uint64
		covered []said
		want    []notice
	}{
		"nothing":                    {},
		"one":                        {0, []said{by(1, "ann")}, []notice{{"ann", by(1, "ann"), []string{"m1"}}}},
		"one's own":                  {0, []said{by(1, "bob"), by(2, "bob")}, nil},
		"several of one":             {0, []said{by(1, "ann"), by(2, "bob"), by(3, "ann")}, []notice{{"ann", by(3, "ann"), []string{"m1", "m3"}}}},
		"several authors":            {0, []said{by(1, "ann"), by(2, "cat"), by(3, "ann")}, []notice{{"ann", by(3, "ann"), []string{"m1", "m3"}}, {"cat", by(2, "cat"), []string{"m2"}}}},
		"before the reader joined":   {20, []said{by(1, "ann"), by(2, "ann"), by(3, "cat")}, []notice{{"cat", by(3, "cat"), []string{"m3"}}}},
		"gone from the log":          {0, []said{{}, by(2, "ann")}, []notice{{"ann", by(2, "ann"), []string{"m2"}}}},
		"a sender that is not known": {0, []said{by(1, "")}, nil},
		"all of it before they came": {99, []said{by(1, "ann")}, nil},
	} {
		require.Equal(t, row.want, noticesOf("bob", roster.Stay{First: row.joined}, row.covered), name)
	}
}

func TestNewestOf(t *testing.T) {
	t.Parallel()
	require.Empty(t, newestOf(span{3, 3}))
	require.Equal(t, []uint64{4, 5}, newestOf(span{3, 5}))
	for _, s := range []span{{0, 200}, {0, 201}, {7, 100000}} {
		seqs := newestOf(s)
		require.Len(t, seqs, 200)
		require.Equal(t, s.to, seqs[199])
	}
}

func TestClamped(t *testing.T) {
	t.Parallel()
	message, now := time.UnixMilli(1_000_000).UTC(), time.UnixMilli(2_000_000).UTC()
	at := func(ms int64) *proto.Timestamp { v := proto.At(time.UnixMilli(ms)); return &v }
	for _, row := range []struct{ hint, want *proto.Timestamp }{
		{nil, at(2_000_000)}, {at(1_500_000), at(1_500_000)}, {at(1_000_000), at(1_000_000)}, {at(2_000_000), at(2_000_000)},
		{at(999_999), at(1_000_000)}, {at(-5), at(1_000_000)}, {at(2_000_001), at(2_000_000)}, {at(1 << 50), at(2_000_000)},
	} {
		require.Equal(t, *row.want, clamped(row.hint, message, now), "%v", row.hint)
	}
}

func tell(seq uint64, user, author string) *tiding {
	return &tiding{key: tidingKey{"c", proto.Token(author), verbRead}, chatID: "c", newest: said{seq: seq, id: fmt.Sprint("m", seq)}, user: user, at: proto.At(time.UnixMilli(int64(seq)))}
}

func TestTidings(t *testing.T) {
	t.Parallel()
	k := newTidings()
	start := time.UnixMilli(0)
	require.True(t, k.idle())
	require.True(t, k.add(tell(2, "bob", "ann"), start))
	require.True(t, k.add(tell(3, "cat", "ann"), start))
	require.True(t, k.add(tell(1, "dan", "ann"), start))
	require.True(t, k.add(tell(3, "bob", "ann"), start))
	require.True(t, k.holds("c"))
	require.False(t, k.holds("d"))
	keys := k.ready(start, false)
	require.Len(t, keys, 1, "the first need not wait")
	got := k.take(keys[0], start)
	require.Equal(t, "m3", got.newest.id)
	require.Equal(t, "bob", got.user, "the last who has the newest")
	require.Equal(t, []string{"cat", "dan", "bob"}, got.users, "each once, the newest last")
	require.Equal(t, 3, got.count)

	k.add(tell(3, "eve", "ann"), start.Add(10*time.Millisecond))
	require.Empty(t, k.ready(start.Add(tidingEvery), false), "one a second")
	keys = k.ready(start.Add(tidingEvery+tidingTick), false)
	require.Len(t, keys, 1)
	require.Equal(t, []string{"eve"}, k.take(keys[0], start.Add(tidingEvery+tidingTick)).users)

	k.add(tell(4, "fay", "ann"), start)
	require.Len(t, k.ready(start, true), 1, "at the end everything goes")
	k.take(keys[0], start)
	require.Empty(t, k.ready(start.Add(time.Hour), false))
	require.True(t, k.idle(), "an author with nothing to hear is forgotten")
	require.False(t, k.holds("c"))
}

func TestTidingsAreBounded(t *testing.T) {
	t.Parallel()
	k := newTidings()
	for i := range maxTidings {
		require.True(t, k.add(tell(1, "bob", fmt.Sprint(i)), time.Time{}))
	}
	require.False(t, k.add(tell(1, "bob", "one more"), time.Time{}))
	for i := range 1000 {
		require.True(t, k.add(tell(1, name(i), "7"), time.Time{}))
	}
	got := k.take(tidingKey{"c", "7", verbRead}, time.Time{})
	require.Equal(t, 1001, got.count)
	require.Len(t, got.users, proto.MaxReceiptUsers)
	require.Equal(t, name(999), got.users[proto.MaxReceiptUsers-1])
	require.Equal(t, name(900), got.users[0])
}

func TestSaidCache(t *testing.T) {
	t.Parallel()
	var k saidCache
	n := uint64(saidGeneration)
	for seq := range 3 * n {
		k.put("c", said{seq: seq, id: fmt.Sprint(seq)})
		_, ok := k.get("c", 0)
		require.True(t, ok, "what is used stays")
	}
	require.LessOrEqual(t, len(k.young)+len(k.old), 2*saidGeneration)
	_, ok := k.get("c", 1)
	require.False(t, ok)
	_, ok = k.get("d", 0)
	require.False(t, ok)
	m, ok := k.get("c", 3*n-1)
	require.True(t, ok)
	require.Equal(t, fmt.Sprint(3*n-1), m.id)
	k.clear()
	_, ok = k.get("c", 0)
	require.False(t, ok)
}
