package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

const t0 = int64(1_700_000_000_000)

func conn(pid, device string, status proto.Status) Conn {
	return Conn{PID: pid, Device: device, Socket: "s-" + pid, Gateway: "g", Status: status, Since: t0}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	online, away := conn("a", "phone", proto.StatusOnline), conn("b", "desk", proto.StatusAway)
	leaving, lost, over := conn("c", "phone", proto.StatusOnline), conn("d", "phone", proto.StatusOnline), conn("e", "phone", proto.StatusOnline)
	leaving.Until = t0 + 1
	lost.Until, lost.Lost = t0+1, true
	over.Until = t0
	busy, hidden, past := Own{Status: proto.StatusBusy}, Own{Status: proto.StatusOffline}, Own{Status: proto.StatusBusy, Until: t0}
	for _, c := range []struct {
		name              string
		conns             []Conn
		own               Own
		effective, actual proto.Status
	}{
		{"nobody", nil, Own{}, proto.StatusOffline, proto.StatusOffline},
		{"busy, but not there", nil, busy, proto.StatusOffline, proto.StatusOffline},
		{"one device", []Conn{online}, Own{}, proto.StatusOnline, proto.StatusOnline},
		{"away", []Conn{away}, Own{}, proto.StatusAway, proto.StatusAway},
		{"the best of the devices", []Conn{away, online}, Own{}, proto.StatusOnline, proto.StatusOnline},
		{"in the grace", []Conn{leaving}, Own{}, proto.StatusOnline, proto.StatusOnline},
		{"in the grace beside one that is away", []Conn{away, leaving}, Own{}, proto.StatusOnline, proto.StatusOnline},
		{"past the grace", []Conn{over}, Own{}, proto.StatusOffline, proto.StatusOffline},
		{"its gateway is dead", []Conn{lost}, Own{}, proto.StatusOnline, proto.StatusUnknown},
		{"busy everywhere", []Conn{away, online}, busy, proto.StatusBusy, proto.StatusBusy},
		{"no more busy", []Conn{away}, past, proto.StatusAway, proto.StatusAway},
		{"invisible", []Conn{online}, hidden, proto.StatusOffline, proto.StatusOnline},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Record{Conns: c.conns, Own: c.own}
			require.Equal(t, c.effective, r.Effective(t0))
			require.Equal(t, c.actual, r.Actual(t0))
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	ptr := func(s string) *string { return &s }
	until := proto.At(time.UnixMilli(t0 + 1000))
	fresh := func() *Record {
		return &Record{Conns: []Conn{conn("p", "phone", proto.StatusOnline), conn("d", "desk", proto.StatusOnline)}}
	}
	say := func(r *Record, device, pid string, req proto.UpdatePresenceReq) {
		require.NoError(t, r.Update(&req, &Asked{Device: device, Socket: "s-" + pid}, t0))
	}
	r := fresh()
	say(r, "phone", "p", proto.UpdatePresenceReq{Status: proto.StatusAway})
	require.Equal(t, proto.StatusOnline, r.Effective(t0), "the desk is there")
	say(r, "desk", "d", proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: ptr("In a meeting"), Until: &until})
	require.Equal(t, proto.StatusBusy, r.Effective(t0))
	say(r, "phone", "p", proto.UpdatePresenceReq{Status: proto.StatusAway})
	require.Equal(t, proto.StatusBusy, r.Effective(t0), "a phone in a pocket does not end it")
	require.Equal(t, "In a meeting", r.custom(t0))
	require.Equal(t, proto.StatusOnline, r.Effective(t0+1000), "its time is over")
	require.Empty(t, r.custom(t0+1000))
	say(r, "desk", "d", proto.UpdatePresenceReq{Status: proto.StatusAway})
	require.Equal(t, proto.StatusAway, r.Effective(t0), "who set it ends it")

	r = fresh()
	say(r, "desk", "d", proto.UpdatePresenceReq{Status: proto.StatusBusy})
	yes, no := true, false
	say(r, "phone", "p", proto.UpdatePresenceReq{IsOnline: &yes})
	require.Equal(t, proto.StatusOnline, r.Effective(t0), "online is said by anybody")
	say(r, "phone", "p", proto.UpdatePresenceReq{IsOnline: &no})
	require.Equal(t, proto.StatusOffline, r.Effective(t0))
	require.True(t, r.Hides())
	require.Equal(t, t0, r.Presence("u").LastSeen)

	past := proto.At(time.UnixMilli(t0))
	err := r.Update(&proto.UpdatePresenceReq{Status: proto.StatusBusy, Until: &past}, &Asked{Device: "phone", Socket: "s-p"}, t0)
	require.Equal(t, "until", proto.AsError(err).Field)
}

func TestInvisibleLeaksNothing(t *testing.T) {
	t.Parallel()
	r := &Record{}
	fence := r.Open(conn("p", "phone", proto.StatusOnline), t0)
	require.True(t, r.Publish(t0))
	require.NoError(t, r.Update(&proto.UpdatePresenceReq{Status: proto.StatusOffline}, &Asked{Device: "phone", Socket: "s-p"}, t0+1000))
	require.True(t, r.Publish(t0+1000))
	was := r.Presence("u")
	text := "secret"
	require.NoError(t, r.Update(&proto.UpdatePresenceReq{Status: proto.StatusOffline, CustomStatus: &text}, &Asked{Device: "phone", Socket: "s-p"}, t0+5000))
	require.True(t, r.Close("p", fence, t0+9000, false, t0+9000, 10_000))
	require.False(t, r.Publish(t0+9000))
	r.Settle(t0 + 19_000)
	require.False(t, r.Publish(t0+19_000))
	require.Equal(t, was, r.Presence("u"))
}

func TestPublishedOncePerChange(t *testing.T) {
	t.Parallel()
	r := &Record{}
	fence := r.Open(conn("p", "phone", proto.StatusOnline), t0)
	require.True(t, r.Publish(t0))
	require.False(t, r.Publish(t0), "told already")
	require.NoError(t, r.Update(&proto.UpdatePresenceReq{Status: proto.StatusAway}, &Asked{Device: "phone", Socket: "s-p"}, t0+100))
	require.False(t, r.Publish(t0+100), "not yet")
	require.Equal(t, t0+500, r.Due(t0+100))
	require.NoError(t, r.Update(&proto.UpdatePresenceReq{Status: proto.StatusOnline}, &Asked{Device: "phone", Socket: "s-p"}, t0+200))
	require.Zero(t, r.Due(t0+200), "it is as it was")
	require.True(t, r.Close("p", fence, t0+300, true, t0+300, 10_000))
	r.Settle(t0 + 300)
	version := r.Shown.Version
	require.Equal(t, t0+500, r.Due(t0+300))
	require.True(t, r.Publish(t0+500))
	require.Equal(t, version+1, r.Shown.Version)
	require.Equal(t, t0+300, r.Presence("u").LastSeen)
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	c := conn("p", "phone", proto.StatusOnline)
	r := &Record{}
	fence := r.Open(c, t0)
	c.Fence = fence
	got, ok := r.Announce(c, fence, t0+1)
	require.True(t, ok, "said again")
	require.Equal(t, fence, got)

	late := c
	moved := conn("p", "phone", proto.StatusOnline)
	moved.Socket = "elsewhere"
	newer := r.Open(moved, t0+2)
	_, ok = r.Announce(late, newer, t0+3)
	require.False(t, ok, "it goes on elsewhere")
	require.False(t, r.Close("p", fence, t0+3, false, t0+3, 10), "a late close is not the new one's")
	require.True(t, r.Close("p", newer, t0+4, true, t0+4, 10))
	r.Settle(t0 + 4)
	_, ok = r.Announce(late, newer, t0+5)
	require.False(t, ok, "nor is it revived by who was away")

	unknown := conn("q", "phone", proto.StatusOnline)
	got, ok = (&Record{}).Announce(unknown, 0, t0)
	require.True(t, ok)
	require.Equal(t, uint64(t0), got)
	lost := &Record{}
	fence = lost.Open(unknown, t0)
	got, ok = lost.Announce(unknown, fence, t0+1)
	require.True(t, ok, "the answer to its opening was lost")
	require.Equal(t, fence, got)
}
