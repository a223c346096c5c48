package gateway

import (
	"time"

	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// isEphemeral says whether a subject carries events that are not stored.
func isEphemeral(subject string) bool {
	_, kind, err := proto.ParseUserSubject(subject)
	return err == nil && kind == proto.KindEphemeral
}

// passEphemeral brings an event that is not stored to the user's sessions but
// the one it came from, or to the one it is for. It has no place in the log: no
// offset is sent, no track moves, and a client whose queue is full does without
// it. Without an event of calls it cannot go on: it is closed, and told again
// when it is back.
func (svc *Service) passEphemeral(t *topic, e *entry) {
	if e.event == "" {
		svc.host.Log().Warn("event without a name", "subject", e.subject)
		return
	}
	if e.event == proto.ProbeConnections {
		t.probe(time.Now())
		return
	}
	for _, s := range svc.passNotice(t, e, callWordOf(e, false)) {
		s.closeSlow()
	}
}

// passNotice is passEphemeral under the topic's lock; it returns those that are
// to be closed.
func (svc *Service) passNotice(t *topic, e *entry, word *callWord) (slow []*Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	presence := e.event == proto.PresenceEvent.Name
	var frames [profiles]*wsconn.Frame
	for i := range t.members {
		m := &t.members[i]
		// One that is still opening has not been greeted: nothing may come before that.
		if m.from == hold || e.socket != "" && m.session.id == e.socket || e.to != "" && m.session.id != e.to {
			continue
		}
		if word != nil && !m.session.hears(word) {
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
		case !m.session.send(frames[p]):
		case word != nil:
			slow = append(slow, m.session)
		default:
			svc.metrics.shed.Add(svc.ctx, 1)
		}
	}
	return slow
}
