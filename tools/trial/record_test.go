package trial

import (
	"encoding/json"
	"fmt"
	"maps"

	"supmesh.dev/tools/e2e/mesh"
)

// confirmed is the event that a record has where the server has confirmed a message:delivered.
const confirmed = "confirmed"

// cursor is the payload of a confirmation.
type cursor struct {
	ChatID  string `json:"chatId"`
	UpToSeq uint64 `json:"upToSeq"`
}

// record is what one device has seen of its messages, over all of its connections.
type record struct {
	device string
	own    map[string]bool   // ids that the device sent itself: the server owes no event for them
	have   map[string]uint64 // id → seq
	faults []string

	first     map[string]uint64 // chat → highest seq that came for the first time
	here      map[string]uint64 // chat → highest seq on this connection
	confirmed map[string]uint64 // chat → confirmed cursor
	before    map[string]uint64 // chat → confirmed cursor when this connection began
	repeats   int
	began     int // connections
}

func newRecord(device string) *record {
	return &record{
		device: device, own: map[string]bool{}, have: map[string]uint64{}, first: map[string]uint64{},
		here: map[string]uint64{}, confirmed: map[string]uint64{}, before: map[string]uint64{},
	}
}

func (r *record) faultf(format string, args ...any) {
	r.faults = append(r.faults, r.device+": "+fmt.Sprintf(format, args...))
}

// add takes the next event that the device has seen.
func (r *record) add(e mesh.Received) {
	switch e.Event {
	case "connected":
		r.began++
		clear(r.here)
		r.before = maps.Clone(r.confirmed)
	case confirmed:
		var c cursor
		if err := json.Unmarshal(e.Data, &c); err != nil {
			r.faultf("a confirmation that cannot be read: %v", err)
			return
		}
		r.confirmed[c.ChatID] = max(r.confirmed[c.ChatID], c.UpToSeq)
	case "message:new":
		var m mesh.SentMessage
		if err := json.Unmarshal(e.Data, &m); err != nil {
			r.faultf("a message that cannot be read: %v", err)
			return
		}
		r.message(m.Message.ChatID, m.Message.ID, m.Message.Seq)
	case "malformed":
		r.faultf("a frame that cannot be read: %s", e.Data)
	}
}

func (r *record) message(chat, id string, seq uint64) {
	if seq <= r.here[chat] {
		r.faultf("%s: seq %d came after %d on one connection", chat, seq, r.here[chat])
	}
	r.here[chat] = max(r.here[chat], seq)
	if seq <= r.before[chat] {
		r.faultf("%s: seq %d came again, and %d was confirmed before this connection", chat, seq, r.before[chat])
	}
	if _, again := r.have[id]; again {
		r.repeats++
		return
	}
	r.have[id] = seq
	if seq < r.first[chat] && !r.own[id] {
		r.faultf("%s: seq %d came for the first time after %d", chat, seq, r.first[chat])
	}
	r.first[chat] = max(r.first[chat], seq)
}

// sent takes a message of the device's own, by its ack.
func (r *record) sent(id string, seq uint64) {
	r.own[id] = true
	if _, ok := r.have[id]; !ok {
		r.have[id] = seq
	}
}

// lacks counts the messages of a chat's history that the device does not have.
func (r *record) lacks(history []mesh.SentMessage) (n int, first string) {
	for _, m := range history {
		if _, ok := r.have[m.Message.ID]; !ok {
			if n == 0 {
				first = fmt.Sprintf("%s seq %d", m.Message.ChatID, m.Message.Seq)
			}
			n++
		}
	}
	return n, first
}
