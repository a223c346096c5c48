package socketio

import "bytes"

// assembly collects the attachments of a binary packet, which follow it as binary messages (protocol v5, "Binary").
type assembly struct {
	packet      Packet
	attachments [][]byte
	room        int // bytes that may still come
}

func newAssembly(p Packet, cfg Config) (*assembly, error) {
	if p.Attachments > cfg.MaxAttachments {
		return nil, errAttachments
	}
	p.Data = bytes.Clone(p.Data) // the packet outlives the call that brought it
	return &assembly{packet: p, room: cfg.MaxAttachmentBytes}, nil
}

// add takes the next attachment and reports whether it was the last.
func (a *assembly) add(data []byte) (done bool, err error) {
	if a.room -= len(data); a.room < 0 {
		return false, errAttachments
	}
	a.attachments = append(a.attachments, append([]byte{}, data...))
	return len(a.attachments) == a.packet.Attachments, nil
}
