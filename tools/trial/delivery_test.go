package trial

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/tools/e2e/mesh"
)

const (
	users = 30
	chats = 12
	// killEvery is how often a gateway gets SIGKILL, the two in turn.
	killEvery = 8 * time.Second
	// freezeEvery and frozen: a NATS server gets SIGSTOP for a while, so that its copy of the log is behind.
	freezeEvery = 3 * time.Second
	frozen      = 700 * time.Millisecond
	// sendEvery is the time between two messages of all users together.
	sendEvery = 40 * time.Millisecond
	// settle is how long the mesh may take, after the last fault, until everything has arrived.
	settle = 2 * time.Minute
	// roundLength is how long one mesh is under faults at most.
	roundLength = 5 * time.Minute
)

// member is a user with their devices.
type member struct {
	id      string
	chats   []string
	devices []device
	records []*record
}

// outgoing is a message on its way: it is sent again with the same tempId until it is acked.
type outgoing struct {
	from   *member
	device int
	data   map[string]any
	ack    <-chan json.RawMessage
	until  time.Time
}

// Gateways die by kill -9 while thirty users write to each other and NATS servers are frozen in turn.
// At the end every device has every message of its chats, in order, and none that it had confirmed
// came again. The messages are those of the log, and every acked one is among them.
func TestTrialDelivery(t *testing.T) {
	t.Parallel()
	long.Only(t)
	rest := time.Duration(long.Count(t, 0, 900)) * time.Second
	for round := 1; rest > 0; round++ {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) { deliver(t, min(rest, roundLength)) })
		rest -= roundLength
	}
}

func deliver(t *testing.T, length time.Duration) {
	t.Helper()
	m := cluster(t)
	town := populate(t, m)
	mesh.Eventually(t, settle, "every device is connected", func() bool {
		return !slices.ContainsFunc(town, func(u *member) bool {
			u.read()
			return slices.ContainsFunc(u.records, func(r *record) bool { return r.began == 0 })
		})
	})

	begun := time.Now()
	nextSend, nextKill, nextFreeze := begun, begun.Add(killEvery/2), begun.Add(freezeEvery)
	var thaw time.Time
	var waiting []*outgoing
	var acked, kills, node int
	for tick := time.NewTicker(pace); time.Since(begun) < length || len(waiting) > 0; <-tick.C {
		now := time.Now()
		require.Less(t, now.Sub(begun), length+settle, "%d messages are not acked", len(waiting))
		if !thaw.IsZero() && now.After(thaw) {
			m.Nodes[node].Signal(t, syscall.SIGCONT)
			thaw = time.Time{}
		}
		if now.Sub(begun) < length {
			for ; nextSend.Before(now); nextSend = nextSend.Add(sendEvery) {
				waiting = append(waiting, write(town, acked+len(waiting)))
			}
			if thaw.IsZero() && now.After(nextFreeze) {
				node = (node + 1) % len(m.Nodes)
				m.Nodes[node].Signal(t, syscall.SIGSTOP)
				thaw, nextFreeze = now.Add(frozen), now.Add(freezeEvery)
			}
			if now.After(nextKill) {
				m.Gateways[kills%2].Kill()
				m.LaunchGateway(t, kills%2)
				kills, nextKill = kills+1, now.Add(killEvery)
			}
		}
		waiting = slices.DeleteFunc(waiting, func(o *outgoing) bool {
			done := o.advance(t, now)
			if done {
				acked++
			}
			return done
		})
	}
	judge(t, m, town, acked, kills)
}

// populate makes the chats and connects two devices of each user, half of them stock clients.
func populate(t *testing.T, m *mesh.Mesh) []*member {
	t.Helper()
	node := mesh.StartNode(t)
	town := make([]*member, users)
	in := make([][]string, chats)
	for i := range town {
		town[i] = &member{id: fmt.Sprint("user-", i)}
		for c := range chats {
			// Chat 0 has everybody, the others a third of the users.
			if c == 0 || (i+c)%3 == 0 {
				town[i].chats = append(town[i].chats, fmt.Sprint("chat-", c))
				in[c] = append(in[c], town[i].id)
			}
		}
	}
	for c, ids := range in {
		m.PutChat(t, fmt.Sprint("chat-", c), ids...)
	}
	urls := []string{m.Gateways[0].URL, m.Gateways[1].URL}
	for i, u := range town {
		for d := range 2 {
			name := fmt.Sprint("device-", d)
			token := mesh.Token(t, u.id, name)
			if d == 0 {
				u.devices = append(u.devices, openStock(t, node, urls[i%2], token))
			} else {
				u.devices = append(u.devices, openPlain(t, token, urls[(i+1)%2], urls[i%2]))
			}
			u.records = append(u.records, newRecord(u.id+" "+name))
		}
	}
	return town
}

// write makes the n-th message of the trial.
func write(town []*member, n int) *outgoing {
	from := town[rand.N(len(town))]
	return &outgoing{from: from, device: rand.N(len(from.devices)), data: map[string]any{
		"chatId": from.chats[rand.N(len(from.chats))], "encryptedContent": fmt.Sprint("message ", n), "tempId": fmt.Sprintf("t-%d-%d", n, rand.N(1<<30)),
	}}
}

// advance sends the message, again where no ack has come; it reports whether the message is acked.
func (o *outgoing) advance(t *testing.T, now time.Time) bool {
	t.Helper()
	select {
	case raw := <-o.ack: // blocks for ever, and so never, while there is no channel
		var ok mesh.SentMessage
		if ack := mesh.AckOf(raw); ack.Success {
			require.NoError(t, json.Unmarshal(raw, &ok))
			o.from.records[o.device].sent(ok.Message.ID, ok.Message.Seq)
			return true
		} else {
			require.True(t, ack.Retryable, "message:new: %s", raw)
		}
		o.ack, o.until = nil, now.Add(200*time.Millisecond)
	default:
	}
	if now.After(o.until) {
		o.ack = o.from.devices[o.device].send(t, "message:new", o.data)
		o.until = now.Add(6 * time.Second)
		if o.ack == nil {
			o.until = now.Add(200 * time.Millisecond)
		}
	}
	return false
}

func (u *member) read() {
	for i, d := range u.devices {
		for _, e := range d.drain() {
			u.records[i].add(e)
		}
	}
}

// judge compares every device with the log.
func judge(t *testing.T, m *mesh.Mesh, town []*member, acked, kills int) {
	t.Helper()
	for _, n := range m.Nodes {
		n.Signal(t, syscall.SIGCONT)
	}
	logs := map[string][]mesh.SentMessage{}
	auditor := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, town[0].id, "auditor"))
	stored, ids := 0, map[string]bool{}
	for c := range chats {
		chat := fmt.Sprint("chat-", c)
		who := auditor
		if !slices.Contains(town[0].chats, chat) {
			i := slices.IndexFunc(town, func(u *member) bool { return slices.Contains(u.chats, chat) })
			who = mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, town[i].id, "auditor-"+chat))
		}
		logs[chat] = mesh.History(t, who, chat)
		for i, e := range logs[chat] {
			require.EqualValues(t, i+1, e.Message.Seq, "%s is dense", chat)
			ids[e.Message.ID] = true
			stored++
		}
	}
	require.Equal(t, acked, stored, "the log has exactly the acked messages")

	lacking := func() []string {
		var out []string
		for _, u := range town {
			u.read()
			for _, r := range u.records {
				for _, chat := range u.chats {
					if n, first := r.lacks(logs[chat]); n > 0 {
						out = append(out, fmt.Sprintf("%s lacks %d of %s, first %s", r.device, n, chat, first))
					}
				}
			}
		}
		return out
	}
	last := lacking()
	for deadline := time.Now().Add(settle); len(last) > 0 && time.Now().Before(deadline); last = lacking() {
		mesh.Eventually(t, settle, "a second has passed", after(time.Second))
	}
	var faults []string
	var began, repeats int
	for _, u := range town {
		for _, r := range u.records {
			faults = append(faults, r.faults...)
			began, repeats = began+r.began, repeats+r.repeats
			for id := range r.have {
				if !ids[id] {
					faults = append(faults, r.device+": "+id+" is not in the log")
				}
			}
		}
	}
	t.Logf("%d messages acked and stored, %d gateways killed, %d connections, %d messages came again before they were confirmed", acked, kills, began, repeats)
	require.Empty(t, last, "messages that never came:\n%s", strings.Join(last, "\n"))
	require.Empty(t, faults, "%d faults", len(faults))
}

func after(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}
