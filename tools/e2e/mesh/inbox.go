package mesh

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Received is one server event as a client saw it.
type Received struct {
	Event  string
	Data   json.RawMessage
	Offset string
}

// Decode reads the payload into v.
func (r Received) Decode(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.Data, v), "payload of %s: %s", r.Event, r.Data)
}

// Ack is the answer to one event.
type Ack struct {
	Success   bool
	Code      string
	Field     string
	Retryable bool
	Raw       json.RawMessage
}

// AckOf reads an ack.
func AckOf(raw json.RawMessage) Ack {
	a := Ack{Raw: raw}
	_ = json.Unmarshal(raw, &a) // a malformed ack has Success false and shows in Raw
	return a
}

// SentMessage is what a message:new ack, event or history item says of a message.
type SentMessage struct {
	Message struct {
		ID               string `json:"id"`
		ChatID           string `json:"chatId"`
		SenderID         string `json:"senderId"`
		EncryptedContent string `json:"encryptedContent"`
		TempID           string `json:"tempId"`
		Seq              uint64 `json:"seq"`
	} `json:"message"`
	Sender    struct{ ID, Username string } `json:"sender"`
	Duplicate bool                          `json:"duplicate"`
}

// inbox keeps everything a client received, in order.
type inbox struct {
	mu     sync.Mutex
	events []Received
}

func (b *inbox) put(r Received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, r)
}

// Events is every event of a name so far, in order; every event for an empty name.
func (b *inbox) Events(name string) []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Received
	for _, e := range b.events {
		if name == "" || e.Event == name {
			out = append(out, e)
		}
	}
	return out
}

// Forget empties the inbox, as an app that starts anew.
func (b *inbox) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = nil
}

// Await waits until n events of a name have come and gives them.
func (b *inbox) Await(t testing.TB, name string, n int) []Received {
	t.Helper()
	Eventually(t, 20*time.Second, name+" events arrive", func() bool { return len(b.Events(name)) >= n })
	return b.Events(name)
}

// Messages is every message:new so far, decoded, in order.
func (b *inbox) Messages(t testing.TB) []SentMessage {
	t.Helper()
	events := b.Events("message:new")
	out := make([]SentMessage, len(events))
	for i, e := range events {
		e.Decode(t, &out[i])
	}
	return out
}
