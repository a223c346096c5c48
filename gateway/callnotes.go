package gateway

import (
	"slices"
	"strings"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

const (
	// maxRang bounds the calls that a session remembers to have rung with.
	maxRang = 8
	// longestCall is how long a call counts whose end was not heard of.
	longestCall = 24 * time.Hour
)

// callPart is what the success of a client's event says of a call.
type callPart uint8

const (
	noCall     callPart = iota
	callSide            // the socket is a side of it, or was
	callAnswer          // and it goes on
	callOver            // it is over, for this socket
)

// callRoutes marks the events of calls in the table.
func callRoutes(table map[string]*route) {
	for event, part := range map[string]callPart{
		proto.InitiateCall.Event: callSide, proto.SendCandidate.Event: callSide, proto.Renegotiate.Event: callSide,
		proto.AnswerCall.Event: callAnswer, proto.EndCall.Event: callOver, proto.RejectCall.Event: callOver,
	} {
		table[event].call = part
	}
}

// callWord is what of an event of calls concerns the gateway itself.
type callWord struct {
	event   string
	call    string    // of those that begin, answer or end one
	expires time.Time // of call:incoming
	late    bool      // read from the log: what followed it may have gone by
	brief   bool      // from signaling's answer: the candidates so far follow it
	alone   bool      // for one socket: a side of the call
	// Of call:ice-candidate: the event, and a hash of what tells it from others.
	body      []byte
	candidate uint64
	answerer  string // of call:answer
}

// callWordOf reads an event of calls; nil for any other.
func callWordOf(e *entry, replay bool) *callWord {
	if !strings.HasPrefix(e.event, "call:") {
		return nil
	}
	w := &callWord{event: e.event, late: replay, alone: e.to != ""}
	switch e.event {
	case proto.IncomingCallEvent.Name, proto.CallAnswerEvent.Name, proto.CallEndEvent.Name:
		var body struct {
			CallID     string          `json:"callId"`
			ExpiresAt  proto.Timestamp `json:"expiresAt"`
			AnswererID string          `json:"answererId"`
		}
		if wire.Restore(e.body, &body) == nil {
			w.call, w.expires, w.answerer = body.CallID, body.ExpiresAt.Time, body.AnswererID
		}
	case proto.CallCandidateEvent.Name:
		var body proto.CallCandidate
		if wire.Restore(e.body, &body) == nil {
			w.call, w.body, w.candidate = body.CallID, e.body, candidateOf(&body)
		}
	}
	return w
}

// expired says that a call must not ring any more: it has been read again too late.
func (w *callWord) expired(now time.Time) bool {
	return w != nil && w.late && w.event == proto.IncomingCallEvent.Name && !w.expires.IsZero() && now.After(w.expires)
}

// callNotes is what a session that has to do with calls remembers of them.
// Session.mu guards it.
type callNotes struct {
	acted bool      // it is a side of a call, or was: its end is reported
	talk  string    // the call that goes on
	since time.Time // of talk
	rang  []rang    // oldest first
	// answers are those that the session has had, call and answerer, oldest first: one may
	// be told again, by signaling's second look or since it may have been missed.
	answers [][2]string
	held    []held // candidates, oldest first
	sends   bool   // what was held is being sent: what comes meanwhile waits behind it
}

// rang is a call whose call:incoming a session has had.
type rang struct {
	call string
	gap  bool     // candidates may have gone by
	sent []uint64 // candidates that the session has had
}

func (s *Session) notesLocked() *callNotes {
	if s.calls == nil {
		s.calls = &callNotes{}
	}
	return s.calls
}

func (n *callNotes) find(call string) int {
	if n == nil {
		return -1
	}
	return slices.IndexFunc(n.rang, func(r rang) bool { return r.call == call })
}

// ring notes a call:incoming; false if there was one.
func (n *callNotes) ring(call string, gap bool) bool {
	if n.find(call) >= 0 {
		return false
	}
	if len(n.rang) == maxRang {
		n.rang = slices.Delete(n.rang, 0, 1)
	}
	n.rang = append(n.rang, rang{call: call, gap: gap})
	return true
}

// answered notes a call:answer; false if there was one of that user.
func (n *callNotes) answered(call, answerer string) bool {
	one := [2]string{call, answerer}
	if slices.Contains(n.answers, one) {
		return false
	}
	if len(n.answers) == maxRang {
		n.answers = slices.Delete(n.answers, 0, 1)
	}
	n.answers = append(n.answers, one)
	return true
}

func (n *callNotes) end(call string) {
	if i := n.find(call); i >= 0 {
		n.rang = slices.Delete(n.rang, i, i+1)
	}
	if n != nil {
		n.held = slices.DeleteFunc(n.held, func(h held) bool { return h.call == call })
		if n.talk == call {
			n.talk = ""
		}
	}
}

// hears notes an event of calls that the session is about to be sent; false if
// it has had it.
func (s *Session) hears(w *callWord) bool {
	s.touch()
	if w.call == "" && !w.alone {
		return true
	}
	fresh, ask := s.note(w)
	if ask {
		s.svc.asker.returned(s, s.id)
	}
	return fresh
}

// note is hears for what the session remembers; ask says that signaling is to be
// asked what has gone by of a call which rings late.
func (s *Session) note(w *callWord) (fresh, ask bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.alone {
		s.notesLocked().acted = true
	}
	if w.call == "" {
		return true, false
	}
	switch w.event {
	case proto.IncomingCallEvent.Name:
		fresh = s.notesLocked().ring(w.call, w.late || w.brief)
		return fresh, fresh && w.late && s.phase == open // it is asked when it is live, anyway
	case proto.CallCandidateEvent.Name:
		return s.takesLocked(w), false
	case proto.CallAnswerEvent.Name:
		s.notesLocked().talks(w.call)
		return s.calls.answered(w.call, w.answerer), false
	case proto.CallEndEvent.Name:
		s.calls.end(w.call)
	}
	return true, false
}

func (n *callNotes) talks(call string) { n.talk, n.since = call, time.Now() }

// tookPart notes the answer to a request of calls. One that was not answered in
// time may have succeeded. If the connection has ended, its lane reports that.
func (s *Session) tookPart(part callPart, r *services.Reply) {
	if r.Err != nil && r.Err.Code != proto.Timeout {
		return
	}
	var body proto.CallRes
	if part != callSide && r.Err == nil {
		_ = wire.Restore(r.Body, &body) // then it names no call
	}
	s.mu.Lock()
	if part == callOver {
		s.calls.end(body.CallID)
		s.mu.Unlock()
		return
	}
	n := s.notesLocked()
	n.acted = true
	if part == callAnswer && body.CallID != "" {
		n.talks(body.CallID)
	}
	s.mu.Unlock()
}

// isSide notes that a side of a call is on the session, which continues another that
// was it. The end of a connection that was reported before this was known is reported.
func (s *Session) isSide(side *proto.CallSide) {
	s.mu.Lock()
	n := s.notesLocked()
	n.acted = true
	if side.Talks && n.talk != side.CallID {
		n.talks(side.CallID)
	}
	over := s.phase == closed && s.laneLocked(serviceCalls) == nil
	s.mu.Unlock()
	if over {
		s.reportEnd(serviceCalls)
	}
}

// talks says whether the session is in a call, which keeps it from being idle.
func (s *Session) talks(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls
	if n == nil || n.talk == "" || now.Sub(n.since) > longestCall {
		return false
	}
	s.active.Store(now.UnixMilli())
	return true
}

// mayHaveMissed notes that events may have gone by; false for a session that has
// had to do with no calls.
func (s *Session) mayHaveMissed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		return false
	}
	for i := range s.calls.rang {
		s.calls.rang[i].gap = true
	}
	return s.calls.acted || len(s.calls.rang) > 0
}
