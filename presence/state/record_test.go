package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

const modelPID = "p"

// record is a record with the connection of pid p at gateway g, of fence 7.
func record(change func(*Conn)) *Record {
	c := Conn{PID: modelPID, Fence: 7, Socket: "s", Gateway: "g", Device: "d", Status: proto.StatusOnline, Since: t0}
	if change != nil {
		change(&c)
	}
	return &Record{Conns: []Conn{c}, Fence: 7}
}

func ended(c *Conn)       { c.Until = t0 + 10 }
func endedByLoss(c *Conn) { c.Until, c.Lost = t0+10, true }

func TestAnnounceTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		record *Record
		fence  uint64 // of what is announced
		socket string
		known  uint64
		want   uint64
		ok     bool
	}{
		{"unknown, without a fence", &Record{}, 0, "s", 0, uint64(t0), true},
		{"unknown, with a fence", &Record{}, 5, "s", 0, 5, true},
		{"unknown here, opened elsewhere since", &Record{}, 5, "s", 6, 0, false},
		{"unknown here, without a fence, opened elsewhere", &Record{}, 0, "s", 6, 0, false},
		{"the same again", record(nil), 7, "s", 7, 7, true},
		{"older", record(nil), 6, "s", 0, 0, false},
		{"older by the session's own record", record(nil), 7, "s", 8, 0, false},
		{"newer", record(nil), 8, "s2", 7, 8, true},
		{"the answer to its opening was lost", record(nil), 0, "s", 7, 7, true},
		{"another socket without a fence", record(nil), 0, "s2", 0, 0, false},
		{"closed since", record(ended), 7, "s", 7, 0, false},
		{"closed since, without a fence", record(ended), 0, "s", 7, 0, false},
		{"opened after the close", record(ended), 8, "s2", 7, 8, true},
		{"its gateway lives after all", record(endedByLoss), 7, "s", 7, 7, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := *row.record
			before.Conns = append([]Conn(nil), before.Conns...)
			c := Conn{PID: modelPID, Fence: row.fence, Socket: row.socket, Gateway: "g2", Status: proto.StatusAway, Until: 3, Lost: true}
			got, ok := row.record.Announce(c, row.known, t0)
			require.Equal(t, row.ok, ok)
			require.Equal(t, row.want, got)
			if !ok {
				require.Equal(t, before, *row.record, "nothing changes")
				return
			}
			c.Fence, c.Until, c.Lost = got, 0, false
			if len(before.Conns) > 0 && before.Conns[0].Fence == got {
				c.Status = before.Conns[0].Status // the device's own status is presence's to know
			}
			kept, there := row.record.Conn(modelPID)
			require.True(t, there)
			require.Equal(t, c, kept)
			require.Len(t, row.record.Conns, 1)
			require.Equal(t, max(before.Fence, got), row.record.Fence)
		})
	}
}

func TestCloseTable(t *testing.T) {
	t.Parallel()
	const now, grace = t0 + 5_000, 10_000
	for _, row := range []struct {
		name   string
		record *Record
		pid    string
		fence  uint64
		at     int64
		final  bool
		ok     bool
		until  int64
		seen   int64
	}{
		{"it counts for the grace", record(nil), modelPID, 7, t0 + 4_000, false, true, now + grace, t0 + 4_000},
		{"final", record(nil), modelPID, 7, t0 + 4_000, true, true, now, t0 + 4_000},
		{"before it began", record(nil), modelPID, 7, t0 - 1, false, true, now + grace, t0},
		{"in the future", record(nil), modelPID, 7, now + 1, false, true, now + grace, now},
		{"an older fence", record(nil), modelPID, 6, now, false, false, 0, 0},
		{"a newer fence", record(nil), modelPID, 8, now, false, false, 0, 0},
		{"another session", record(nil), "q", 7, now, false, false, 0, 0},
		{"closed before", record(ended), modelPID, 7, now, true, false, t0 + 10, 0},
		{"lost with its gateway, which tells of it", record(endedByLoss), modelPID, 7, t0 + 1, false, true, t0 + 10, t0 + 1},
		{"lost, and final", record(endedByLoss), modelPID, 7, t0 + 1, true, true, now, t0 + 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.ok, row.record.Close(row.pid, row.fence, row.at, row.final, now, grace))
			c, _ := row.record.Conn(modelPID)
			require.Equal(t, row.until, c.Until)
			require.Equal(t, row.seen, row.record.Seen)
			require.False(t, c.Lost)
		})
	}
}

func TestLose(t *testing.T) {
	t.Parallel()
	r := record(nil)
	r.Conns = append(r.Conns, Conn{PID: "q", Gateway: "g2", Since: t0}, Conn{PID: "z", Gateway: "g", Until: t0 + 1})
	require.False(t, r.Lose("g3", t0, t0+100, 10))
	require.True(t, r.Lose("g", t0+50, t0+100, 10))
	require.Equal(t, []int64{t0 + 110, 0, t0 + 1}, []int64{r.Conns[0].Until, r.Conns[1].Until, r.Conns[2].Until})
	require.Equal(t, []bool{true, false, false}, []bool{r.Conns[0].Lost, r.Conns[1].Lost, r.Conns[2].Lost})
	require.Equal(t, t0+50, r.Seen, "as of when the gateway was last heard of")
	require.False(t, r.Lose("g", t0+60, t0+200, 10), "once")

	hidden := record(nil)
	hidden.Own.Status = proto.StatusOffline
	require.True(t, hidden.Lose("g", t0+50, t0+100, 10))
	require.Zero(t, hidden.Seen, "the invisible are not seen")
	early := record(nil)
	require.True(t, early.Lose("g", t0-50, t0+100, 10))
	require.Equal(t, t0, early.Seen, "not before it began")
}

func TestSettleTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		until, ends int64 // of the connection, and of what is set
		now         int64
		gone        int
		status      proto.Status
		custom      string
	}{
		{"live", 0, 0, t0, 0, proto.StatusBusy, "text"},
		{"in the grace", t0 + 1, t0 + 1, t0, 0, proto.StatusBusy, "text"},
		{"at its end", t0, t0, t0, 1, "", ""},
		{"past its end", t0 - 1, t0 - 1, t0, 1, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := record(func(c *Conn) { c.Until = row.until })
			c := r.Conns[0]
			r.Own = Own{Status: proto.StatusBusy, Until: row.ends, By: "d", Custom: "text", Ends: row.ends}
			gone := r.Settle(row.now)
			require.Len(t, gone, row.gone)
			require.Len(t, r.Conns, 1-row.gone)
			if row.gone > 0 {
				require.Equal(t, []Conn{c}, gone)
				require.Equal(t, Own{}, r.Own)
			}
			require.Equal(t, row.status, r.Own.Status)
			require.Equal(t, row.custom, r.Own.Custom)
		})
	}
}

// TestRestoreTable: the user's entry of the log replaces what the record has, and is the same on
// the wire again.
func TestRestoreTable(t *testing.T) {
	t.Parallel()
	at := func(ms int64) *proto.Timestamp { ts := proto.At(time.UnixMilli(ms)); return &ts }
	had := Own{Status: proto.StatusBusy, By: "phone", Custom: "text", At: t0}
	for _, row := range []struct {
		name  string
		doubt int64
		own   *proto.OwnPresence
		want  Own
		left  int64 // doubt afterwards
	}{
		{"no entry", 0, nil, had, 0},
		{"no entry, a doubt that is due", t0, nil, had, 0},
		{"an entry", t0 - 1, &proto.OwnPresence{Status: proto.StatusOffline, By: "desk", CustomStatus: "new", At: t0 + 1},
			Own{Status: proto.StatusOffline, By: "desk", Custom: "new", At: t0 + 1}, 0},
		{"for a time, a doubt that is not due", t0 + 9, &proto.OwnPresence{Status: proto.StatusBusy, StatusUntil: at(t0 + 5), CustomUntil: at(t0 + 6), At: t0 + 1},
			Own{Status: proto.StatusBusy, Until: t0 + 5, Ends: t0 + 6, At: t0 + 1}, t0 + 9},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Record{Own: had, Doubt: row.doubt}
			require.True(t, r.Stale(t0), "nothing was read yet")
			r.Restore(7, row.own, t0)
			require.Equal(t, row.want, r.Own)
			require.EqualValues(t, 7, r.Position)
			require.Equal(t, row.left, r.Doubt)
			require.Equal(t, row.left != 0, r.Stale(t0+9))
			if row.own != nil {
				require.Equal(t, row.own, r.OwnPresence(), "and back")
			}
		})
	}
	require.Nil(t, (&Record{}).OwnPresence())
}

// TestDueTable: the soonest moment at which something changes by itself.
func TestDueTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		record Record
		want   int64
	}{
		{"nobody", Record{}, 0},
		{"told, and live", Record{Conns: record(nil).Conns, Shown: Shown{Status: proto.StatusOnline}}, 0},
		{"a grace ends", Record{Conns: record(ended).Conns, Shown: Shown{Status: proto.StatusOnline}}, t0 + 10},
		{"busy ends sooner", Record{Conns: record(ended).Conns, Own: Own{Status: proto.StatusBusy, Until: t0 + 4, Ends: t0 + 5}, Shown: Shown{Status: proto.StatusBusy}}, t0 + 4},
		{"a text ends sooner", Record{Conns: record(ended).Conns, Own: Own{Custom: "x", Ends: t0 + 3}, Shown: Shown{Status: proto.StatusOnline, Custom: "x"}}, t0 + 3},
		{"a change waits for its turn", Record{Conns: record(nil).Conns, Shown: Shown{Status: proto.StatusAway, At: t0}}, t0 + every},
	} {
		require.Equal(t, row.want, row.record.Due(t0), row.name)
	}
}
