package proto

import (
	"reflect"
	"time"
)

// Limit is how many requests a user may make per window; zero is no limit.
type Limit struct {
	N   int
	Per time.Duration
}

// Row is what the mesh knows of one request, whoever makes it.
type Row struct {
	Subject string // NATS subject of the micro endpoint: rpc.<service>.<verb>
	Event   string // client event name; empty: not for clients
	HTTP    string // admin route, "PUT /v1/chats/{chatId}"; empty: none
	Limit   Limit  // per user, for clients
	Timeout time.Duration
	// Idempotent requests are safe to repeat inside the deadline when the
	// outcome is unknown.
	Idempotent bool
	// Errors is what it can fail with beside CommonErrors.
	Errors []Code
	// Silent is those of Errors of which a client hears in an ack alone: without an
	// ack id there is no error event.
	Silent  []Code
	Summary string
}

// CommonErrors is what any request of a client can fail with (CONTRACT §3).
var CommonErrors = []Code{InvalidPayload, RateLimitExceeded, ServiceUnavailable, Timeout, InternalError}

// Name is what the documentation calls the request: its client event, or its
// subject where no client can make it.
func (r Row) Name() string {
	if r.Event != "" {
		return r.Event
	}
	return r.Subject
}

// Endpoint is one request with its types: the catalogue's unit. The subject
// stands in the log, in NATS permissions and in `nats micro ls`.
type Endpoint[Req, Res any] struct{ Row }

// Describe gives the row and the types, for generators and tables.
func (e Endpoint[Req, Res]) Describe() (row Row, req, res reflect.Type) {
	return e.Row, reflect.TypeFor[Req](), reflect.TypeFor[Res]()
}

// Described is an Endpoint with its types erased.
type Described interface {
	Describe() (row Row, req, res reflect.Type)
}

// Audience is who gets a server event (CONTRACT §3, Recipients).
type Audience string

const (
	ToSocket Audience = "SOCK" // this socket
	ToUser   Audience = "USER" // all sockets of the user
	ToChat   Audience = "CHAT" // all sockets of all members
	ToView   Audience = "VIEW" // sockets that have the chat open
	// ToSubscribers is the sockets that have subscribed a user's presence and may
	// see it, and the user's own.
	ToSubscribers Audience = "SUBS"
)

// EventRow is what the mesh knows of one server event.
type EventRow struct {
	Name string
	To   Audience
	// Durable events are stored before they are sent, carry an offset and are
	// replayed; the others may be lost.
	Durable bool
	Summary string
}

// HasOffset says whether the event ends in an offset: the durable ones, and
// connected, whose offset is where the session stands.
func (r EventRow) HasOffset() bool { return r.Durable || r.Name == ConnectedEvent.Name }

// Event is one server event with its payload type.
type Event[T any] struct{ EventRow }

// DescribeEvent gives the row and the payload's type.
func (e Event[T]) DescribeEvent() (row EventRow, payload reflect.Type) {
	return e.EventRow, reflect.TypeFor[T]()
}

// DescribedEvent is an Event with its type erased.
type DescribedEvent interface {
	DescribeEvent() (row EventRow, payload reflect.Type)
}
