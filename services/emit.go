package services

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Emit publishes a server event that is not stored to one user's sockets, on
// whichever gateways they are, but for the socket given ("": to all). At most
// once: a user who is not here, or a link that is down, does not get it later.
// A row that is durable is refused: it belongs in the log.
func Emit[T any](h *Host, ev proto.Event[T], user proto.Token, socket string, payload T) error {
	if ev.Durable {
		return fmt.Errorf("emit %s: it is durable, so it must be stored", ev.Name)
	}
	body, err := wire.Marshal(payload)
	if err != nil {
		return fmt.Errorf("emit %s: %w", ev.Name, err)
	}
	header := nats.Header{proto.HeaderEvent: {ev.Name}}
	if socket != "" {
		header[proto.HeaderSocket] = []string{socket}
	}
	if err := h.nc.PublishMsg(&nats.Msg{Subject: proto.UserEphemeral(user), Header: header, Data: body}); err != nil {
		return fmt.Errorf("emit %s: %w", ev.Name, err)
	}
	return nil
}
