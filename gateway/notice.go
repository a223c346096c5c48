package gateway

import (
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// isEphemeral says whether a subject carries events that are not stored.
func isEphemeral(subject string) bool {
	_, kind, err := proto.ParseUserSubject(subject)
	return err == nil && kind == proto.KindEphemeral
}

// passEphemeral brings an event that is not stored to the user's sessions but
// the one it came from. It has no place in the log: no offset is sent, no
// track moves, and a client whose queue is full does without it.
func (svc *Service) passEphemeral(t *topic, e *entry) {
	if e.event == "" {
		svc.host.Log().Warn("event without a name", "subject", e.subject)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	presence := e.event == proto.PresenceEvent.Name
	var frames [profiles]*wsconn.Frame
	for i := range t.members {
		m := &t.members[i]
		// One that is still opening has not been greeted: nothing may come before that.
		if m.from == hold || e.socket != "" && m.session.id == e.socket {
			continue
		}
		p := m.session.peer.profile()
		if frames[p] == nil {
			frames[p] = eventFrame(p, e.event, e.body)
		}
		switch {
		case presence && m.session.isWatching(t.token): // it comes by that way
		case presence:
			svc.sendLatest(m.session, latestPresence(t.token), frames[p])
		case m.session.send(frames[p]):
			svc.metrics.shed.Add(svc.ctx, 1)
		}
	}
}
