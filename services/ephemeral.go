package services

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Except says who is left out of an event that is not stored.
type Except struct {
	User   proto.Token // every socket of this user: the one who acts
	Socket string      // this socket
	Others string      // every socket but this one, if it is not empty
}

// PublishEphemeral sends an event that is never stored, at most once: while
// NATS is away it fails, and nothing delivers it afterwards. body is what
// clients get. Calls of one goroutine keep their order.
func (h *Host) PublishEphemeral(subject, event string, except Except, body []byte) error {
	values := [...]string{event, string(except.User), except.Socket, except.Others}
	header := nats.Header{proto.HeaderEvent: values[0:1:1]}
	if except.User != "" {
		header[proto.HeaderUser] = values[1:2:2]
	}
	if except.Socket != "" {
		header[proto.HeaderSocket] = values[2:3:3]
	}
	if except.Others != "" {
		header[proto.HeaderTo] = values[3:4:4]
	}
	if err := h.nc.PublishMsg(&nats.Msg{Subject: subject, Header: header, Data: body}); err != nil {
		return fmt.Errorf("publish %s to %s: %w", event, subject, err)
	}
	return nil
}

// EmitTo is Emit to one socket of the user alone.
func EmitTo[T any](h *Host, ev proto.Event[T], user proto.Token, socket string, payload T) error {
	body, err := wire.Marshal(payload)
	if err != nil {
		return fmt.Errorf("emit %s: %w", ev.Name, err)
	}
	return h.PublishEphemeral(proto.UserEphemeral(user), ev.Name, Except{Others: socket}, body)
}

// Emit sends a server event to one user's sockets, on whichever gateways they
// are, but for the socket given ("": to all), by PublishEphemeral. A row that is
// durable is refused: it belongs in the log.
func Emit[T any](h *Host, ev proto.Event[T], user proto.Token, socket string, payload T) error {
	if ev.Durable {
		return fmt.Errorf("emit %s: it is durable, so it must be stored", ev.Name)
	}
	body, err := wire.Marshal(payload)
	if err != nil {
		return fmt.Errorf("emit %s: %w", ev.Name, err)
	}
	return h.PublishEphemeral(proto.UserEphemeral(user), ev.Name, Except{Socket: socket}, body)
}
