package state

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"supmesh.dev/proto"
)

// world is what is so: sockets that are connected, and what a watcher was told.
type world struct {
	record Record
	now    int64

	socket map[string]string // session → the socket that is there
	fences map[string]uint64 // socket → its fence
	pids   map[string]string // socket → its session
	on     map[string]proto.Token
	ended  map[string]int64 // session → when its last socket ended
	made   int

	told    proto.Status
	version uint64
	toldAt  int64
	absent  int64 // since when no socket has been there; 0: one is
	dead    map[proto.Token]bool
	closed  map[string]bool // sockets whose end was noted
}

const modelGrace = int64(10_000)

// TestModel lets connections come, drop, be taken over and be reported late, and
// gateways die and be heard of again. Whoever has a socket at a gateway that lives is
// never shown offline; whoever has had none for longer than the grace is; nothing
// is told twice, faster than allowed or with an older version.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			now: t0, socket: map[string]string{}, fences: map[string]uint64{}, pids: map[string]string{}, on: map[string]proto.Token{},
			ended: map[string]int64{}, told: proto.StatusOffline, absent: t0, dead: map[proto.Token]bool{}, closed: map[string]bool{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"open":     w.open,
			"close":    w.close,
			"late":     w.late,
			"announce": w.announce,
			"revive":   w.revive,
			"die":      w.die,
			"wait":     w.wait,
			"":         w.check,
		})
	})
}

// wait lets time pass. As in the service, the record is looked at only when it said
// that it is due.
func (w *world) wait(t *rapid.T) {
	end := w.now + rapid.Int64Range(1, 15_000).Draw(t, "ms")
	for due := w.record.Due(w.now); due != 0 && due <= end; due = w.record.Due(w.now) {
		require.Greater(t, due, w.now, "due again at once")
		w.now = due
		w.after(t)
	}
	w.now = end
}

func (w *world) session(t *rapid.T) string {
	return rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(t, "session")
}

func (w *world) open(t *rapid.T) {
	pid := w.session(t)
	w.made++
	socket := fmt.Sprint("s", w.made)
	gateway := proto.Token(rapid.SampledFrom([]string{"g1", "g2"}).Draw(t, "gateway")) + proto.Token(fmt.Sprint(".", len(w.dead)))
	fence := w.record.Open(Conn{PID: pid, Socket: socket, Gateway: gateway, Device: "d", Status: proto.StatusOnline, Since: w.now}, w.now)
	if old := w.socket[pid]; old != "" {
		require.Greater(t, fence, w.fences[old])
	}
	w.socket[pid], w.fences[socket], w.pids[socket], w.on[socket] = socket, fence, pid, gateway
	delete(w.ended, pid)
	w.after(t)
}

func (w *world) close(t *rapid.T) {
	pid := w.session(t)
	socket := w.socket[pid]
	if socket == "" {
		t.Skip("nothing to close")
	}
	w.closed[socket] = w.record.Close(pid, w.fences[socket], w.now, false, w.now, modelGrace)
	require.True(t, w.closed[socket] || w.dead[w.on[socket]])
	w.socket[pid] = ""
	if _, known := w.ended[pid]; !known {
		w.ended[pid] = w.now
	}
	w.after(t)
}

// late is a close of a socket that is not the session's any more.
func (w *world) late(t *rapid.T) {
	before := fmt.Sprintf("%+v", w.record.Conns)
	for socket, pid := range w.pids {
		if w.socket[pid] != "" && w.socket[pid] != socket {
			require.False(t, w.record.Close(pid, w.fences[socket], w.now, true, w.now, modelGrace))
			_, ok := w.record.Announce(Conn{PID: pid, Fence: w.fences[socket], Socket: socket, Gateway: w.on[socket]}, w.fences[w.socket[pid]], w.now)
			require.False(t, ok)
		}
	}
	require.Equal(t, before, fmt.Sprintf("%+v", w.record.Conns))
}

// revive is what was said of a connection before it was closed, and comes late.
func (w *world) revive(t *rapid.T) {
	before := fmt.Sprintf("%+v", w.record.Conns)
	for socket, closed := range w.closed {
		if !closed {
			continue
		}
		pid, known, over := w.pids[socket], uint64(0), false // as the session's own record has it
		for other, fence := range w.fences {
			if w.pids[other] == pid && fence > known {
				known, over = fence, w.closed[other]
			}
		}
		if over {
			known++
		}
		for _, fence := range []uint64{w.fences[socket], 0} {
			_, ok := w.record.Announce(Conn{PID: pid, Fence: fence, Socket: socket, Gateway: w.on[socket]}, known, w.now)
			require.False(t, ok)
		}
	}
	require.Equal(t, before, fmt.Sprintf("%+v", w.record.Conns))
}

// announce is a gateway that lives after all, under a new name.
func (w *world) announce(t *rapid.T) {
	pid := w.session(t)
	socket := w.socket[pid]
	if socket == "" {
		t.Skip("nothing to announce")
	}
	gateway := "g3" + proto.Token(fmt.Sprint(".", len(w.dead)))
	_, ok := w.record.Announce(Conn{
		PID: pid, Fence: w.fences[socket], Socket: socket, Gateway: gateway, Device: "d", Status: proto.StatusOnline, Since: w.now,
	}, w.fences[socket], w.now)
	require.True(t, ok)
	w.on[socket] = gateway
	delete(w.ended, pid)
	w.after(t)
}

// die is a gateway taken for dead; its sockets are gone, as far as is known.
func (w *world) die(t *rapid.T) {
	var all []proto.Token
	for _, c := range w.record.Conns {
		all = append(all, c.Gateway)
	}
	if len(all) == 0 {
		t.Skip("no gateway")
	}
	gateway := rapid.SampledFrom(all).Draw(t, "gateway")
	w.record.Lose(gateway, w.now, w.now, modelGrace)
	w.dead[gateway] = true
	for pid, socket := range w.socket {
		if socket != "" && w.on[socket] == gateway {
			if _, known := w.ended[pid]; !known {
				w.ended[pid] = w.now
			}
		}
	}
	w.after(t)
}

// after is what the service does with each change.
func (w *world) after(t *rapid.T) {
	w.record.Settle(w.now)
	if !w.record.Publish(w.now) {
		return
	}
	p := w.record.Presence("u")
	require.NotEqual(t, w.told, p.Status, "told twice")
	require.Greater(t, p.Version, w.version)
	if w.version > 0 {
		require.GreaterOrEqual(t, w.now, w.toldAt+every)
	}
	w.told, w.version, w.toldAt = p.Status, p.Version, w.now
}

func (w *world) check(t *rapid.T) {
	if due := w.record.Due(w.now); due != 0 {
		require.Greater(t, due, w.now, "it was due, and nobody looked")
	}
	there, counts := false, false
	for pid, socket := range w.socket {
		at, over := w.ended[pid]
		there = there || socket != "" && !over
		counts = counts || socket != "" && !over || over && w.now < at+modelGrace
	}
	effective := w.record.Effective(w.now)
	if there {
		require.NotEqual(t, proto.StatusOffline, effective, "a socket is there")
	}
	require.Equal(t, counts, effective != proto.StatusOffline, "%+v", w.record.Conns)
	if w.now >= w.toldAt+every {
		require.Equal(t, effective, w.told)
	}
}
