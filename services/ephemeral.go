package services

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

// PublishEphemeral sends an event that is never stored, at most once: while
// NATS is away it fails, and nothing delivers it afterwards. user is who acts;
// that user's own sockets are left out. Calls of one goroutine keep their order.
func (h *Host) PublishEphemeral(subject, event string, user proto.Token, body []byte) error {
	values := [...]string{event, string(user)}
	msg := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{
		proto.HeaderEvent: values[0:1:1], proto.HeaderUser: values[1:2:2],
	}}
	if err := h.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("publish %s to %s: %w", event, subject, err)
	}
	return nil
}
