package socketio

import (
	"bytes"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/deadline"
)

// assembly collects the attachments of a binary packet, which follow it as binary messages (protocol v5, "Binary"). Where
// the server takes none it only counts them.
type assembly struct {
	client      *client
	entry       deadline.Entry // when the next attachment must have come
	packet      Packet
	attachments [][]byte
	missing     int // attachments
	room        int // bytes that may still come
}

// assemble begins to wait for the attachments of p. The session ends if one of them takes too long.
func (c *client) assemble(p Packet) {
	a := &assembly{client: c, missing: p.Attachments, room: c.srv.cfg.MaxAttachmentBytes}
	if !c.srv.cfg.DropAttachments {
		p.Data = bytes.Clone(p.Data) // the packet outlives the call that brought it
		a.packet = p
	}
	c.pending = a
	c.srv.deadlines.Set(&a.entry, a, c.srv.cfg.AttachmentTimeout)
}

// Expire implements deadline.Expirer.
func (a *assembly) Expire() { a.client.session.Close(engineio.ReasonParseError) }

// add takes the next attachment and reports whether it was the last.
func (a *assembly) add(data []byte) (done bool, err error) {
	srv := a.client.srv
	if !srv.cfg.DropAttachments {
		if a.room -= len(data); a.room < 0 {
			return false, errAttachments
		}
		a.attachments = append(a.attachments, append([]byte{}, data...))
	}
	if a.missing--; a.missing == 0 {
		srv.deadlines.Remove(&a.entry)
		return true, nil
	}
	srv.deadlines.Set(&a.entry, a, srv.cfg.AttachmentTimeout)
	return false, nil
}
