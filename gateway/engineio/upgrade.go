package engineio

import (
	"net/http"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/wsconn"
)

// probe is a websocket that wants to take a session over from polling:
//
//	accepted --"2probe"--> asked --(no POST)--> answered with "3probe" --"5"--> the session's transport
//
// Anything else from the client, or UpgradeTimeout, drops it while polling goes on. Session.mu guards answered and over.
type probe struct {
	session  *Session
	poll     *polling
	conn     *wsconn.Conn
	entry    deadline.Entry
	asked    bool // "2probe" has come
	answered bool
	over     bool // dropped, or the session's transport
}

// serveUpgrade accepts a candidate. One that comes too late, or second, is accepted and closed: browsers tell a page
// nothing about a refused upgrade, and the session goes on as it was.
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := s.srv.ws.Accept(w, r, originChecked)
	if err != nil {
		return // Accept has answered
	}
	s.mu.Lock()
	p := s.poll
	if s.state != stateOpen || p == nil || p.probe != nil {
		s.mu.Unlock()
		conn.Serve(discard{})
		conn.Close(closeNormal, "session has its transport")
		return
	}
	candidate := &probe{session: s, poll: p, conn: conn}
	p.probe = candidate
	s.srv.deadlines.Set(&candidate.entry, candidate, s.srv.cfg.UpgradeTimeout)
	s.mu.Unlock()
	conn.Serve(candidate)
}

// Message implements wsconn.Handler.
func (c *probe) Message(_ *wsconn.Conn, binary bool, data []byte) {
	switch {
	case !binary && string(data) == "2probe":
		c.answer()
	case !binary && string(data) == "5":
		c.takeOver()
	default:
		c.drop()
	}
}

func (c *probe) answer() {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over || c.asked {
		c.dropLocked()
		return
	}
	c.asked = true
	c.answerLocked()
}

// answerLocked answers a probe, unless a POST is under way: from the answer on the client does not poll, and the answers to
// what it posts may be more than can be queued for it. The end of the POST calls it again.
func (c *probe) answerLocked() {
	if c.over || !c.asked || c.answered || c.poll.posting {
		return
	}
	c.answered = true
	c.session.srv.deadlines.Set(&c.entry, c, c.session.srv.cfg.UpgradeTimeout)
	_ = c.conn.Send(frameProbePong) // a closed connection reports itself through Closed
	c.poll.wake()                   // the client waits for its poll to end before it sends "5"
}

// takeOver makes the websocket the session's transport. What is queued goes there first, so the order stays; a poll that is
// still pending gets a noop.
func (c *probe) takeOver() {
	s, p := c.session, c.poll
	p.recv.Lock() // what was posted before is delivered before
	defer p.recv.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over || !c.answered || s.state != stateOpen {
		c.dropLocked()
		return
	}
	c.over = true
	s.srv.deadlines.Remove(&c.entry)
	p.probe, p.upgraded = nil, true
	s.ws, s.poll = c.conn, nil
	s.ws.SetStamper(s.stamper)
	s.ws.SetHandler((*webSocket)(s))
	for _, f := range p.queue {
		if err := s.ws.Send(f); err != nil {
			s.ws.Abort(err) // some of the queue is lost, so the session cannot go on
			break
		}
	}
	p.empty()
	p.wake()
}

func (c *probe) drop() {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.dropLocked()
}

func (c *probe) dropLocked() {
	if c.over {
		return
	}
	c.over = true
	c.session.srv.deadlines.Remove(&c.entry)
	if c.poll.probe == c {
		c.poll.probe = nil
	}
	c.conn.Close(closeNormal, "not upgraded")
}

// Expire implements deadline.Expirer: the client has not completed the upgrade in time, unless it waits for our answer.
func (c *probe) Expire() {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.asked && !c.answered && !c.over && c.poll.posting {
		s.srv.deadlines.Set(&c.entry, c, s.srv.cfg.UpgradeTimeout)
		return
	}
	c.dropLocked()
}

// Closed implements wsconn.Handler.
func (c *probe) Closed(*wsconn.Conn, error) { c.drop() }
