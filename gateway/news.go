package gateway

import (
	"time"

	"supmesh.dev/proto"
)

// batchBytes is where a report ends, in bytes: with what was added last it is far below
// the smallest max_payload (services.MinPayload).
const batchBytes = 64 << 10

// news is what presence is to be told of one session; of each chat and each
// watched user the last thing counts.
type news struct {
	opened  bool                   // it is here
	views   map[string]*viewChange // by chat
	watches map[string]bool        // by user: watched, or no more
	closed  *ending                // it is here no more: the last thing told of it
}

// viewChange is what became of one chat that a session had, or has, open.
type viewChange struct {
	viewing bool
	quiet   bool          // clients know
	told    chan struct{} // not nil: closed when presence has it
}

type ending struct {
	at    time.Time
	final bool
}

func (n *news) empty() bool {
	return !n.opened && len(n.views) == 0 && len(n.watches) == 0 && n.closed == nil
}

// done lets those go on who wait for it to be told.
func (n *news) done() {
	for _, c := range n.views {
		c.release()
	}
}

func (c *viewChange) release() {
	if c.told != nil {
		close(c.told)
	}
}

// note has fn change the news of a session, which are told soon.
func (a *announcer) note(s *Session, fn func(n *news)) {
	a.mu.Lock()
	n := a.news[s]
	if n == nil {
		n = &news{}
		a.news[s] = n
		a.order = append(a.order, s)
	}
	fn(n)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// open has it told that a session is here.
func (a *announcer) open(s *Session) { a.note(s, func(n *news) { n.opened = true }) }

// close has it told that a session has ended.
func (a *announcer) close(s *Session, at time.Time, final bool) {
	a.note(s, func(n *news) { n.closed = &ending{at, final} })
}

// view has it told that a session has a chat open, or no more. The caller holds
// the topic's lock, so that this is what is so.
func (a *announcer) view(chat string, s *Session, viewing, quiet bool) (told <-chan struct{}) {
	a.note(s, func(n *news) {
		c := n.views[chat]
		if c == nil {
			c = &viewChange{quiet: quiet}
			if n.views == nil {
				n.views = make(map[string]*viewChange)
			}
			n.views[chat] = c
		}
		c.viewing, c.quiet = viewing, c.quiet && quiet
		if c.told == nil && !quiet {
			c.told = make(chan struct{})
		}
		told = c.told
	})
	return told
}

// watch has it told that a session watches users, or no more.
func (a *announcer) watch(s *Session, users []string, watching bool) {
	if len(users) == 0 {
		return
	}
	a.note(s, func(n *news) {
		if n.watches == nil {
			n.watches = make(map[string]bool, len(users))
		}
		for _, user := range users {
			n.watches[user] = watching
		}
	})
}

// batch is one report on its way, with what it is made of.
type batch struct {
	req   proto.ReportReq
	parts []part
	size  int
}

type part struct {
	session *Session
	news    news // as much of it as is in the report
}

// take makes a report of the oldest news, all of it quiet or none.
func (a *announcer) take() *batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seq++
	b := &batch{req: proto.ReportReq{Gateway: a.name, Inbox: a.svc.run, Seq: a.seq}}
	first := true
	for n := len(a.order); n > 0 && b.room() && len(b.parts) < a.most; n-- {
		s := a.order[0]
		a.order = a.order[1:]
		all := a.news[s]
		if all.empty() || s.isTaken() {
			all.done()
			delete(a.news, s)
			continue
		}
		if first {
			b.req.Quiet = all.quiet()
			first = false
		}
		if p := (part{session: s}); b.add(&p, all) {
			b.parts = append(b.parts, p)
		}
		if all.empty() {
			delete(a.news, s)
		} else {
			a.order = append(a.order, s)
		}
	}
	return b
}

// quiet says whether there are views of which clients know, and no others.
func (n *news) quiet() bool {
	for _, c := range n.views {
		if !c.quiet {
			return false
		}
	}
	return len(n.views) > 0
}

// room says whether the report can take anything of another session.
func (b *batch) room() bool {
	r := &b.req
	return b.size < batchBytes && max(len(r.Closed), len(r.Opened), len(r.Ended), len(r.Began), len(r.Unwatched), len(r.Watched)) < proto.MaxReport
}

// add moves what can be told now of a session from its news to the report. What
// it opened and watched is told under its fence, and so once it has one; and its
// end when all else is told, since a return gets back what was.
func (b *batch) add(p *part, all *news) (added bool) {
	s := p.session
	fence := s.fence.Load()
	size := b.size
	switch {
	case fence == 0:
		all.opened = true
	case all.closed != nil:
		all.opened = false
	}
	if all.opened {
		all.opened, p.news.opened = false, true
		o := s.announcement()
		b.req.Opened = append(b.req.Opened, o)
		b.size += proto.EncodedLen(o.UserID) + proto.EncodedLen(o.DeviceID) + 320
	}
	if fence == 0 {
		return true
	}
	for chat, c := range all.views {
		list := &b.req.Ended
		if c.viewing {
			list = &b.req.Began
		}
		if c.quiet != b.req.Quiet || len(*list) == proto.MaxReport || b.size >= batchBytes {
			continue
		}
		*list = append(*list, proto.View{ChatID: chat, UserID: s.actor.User, PID: s.pid, Fence: fence})
		b.size += proto.EncodedLen(chat) + proto.EncodedLen(s.actor.User) + 128
		if p.news.views == nil {
			p.news.views = make(map[string]*viewChange)
		}
		p.news.views[chat] = c
		delete(all.views, chat)
	}
	b.addWatches(p, all, fence)
	if b.size == size && all.closed != nil && len(all.views) == 0 && len(all.watches) == 0 {
		p.news.closed, all.closed = all.closed, nil
		b.req.Closed = append(b.req.Closed, proto.Closed{
			UserID: s.actor.User, PID: s.pid, Fence: fence, At: proto.At(p.news.closed.at), Final: p.news.closed.final,
		})
		b.size += proto.EncodedLen(s.actor.User) + 160
	}
	return b.size > size
}

func (b *batch) addWatches(p *part, all *news, fence uint64) {
	s := p.session
	var lists [2][]string // no more, now
	for user, watching := range all.watches {
		if len(lists[0])+len(lists[1]) == proto.MaxReport || b.size >= batchBytes {
			break
		}
		i := 0
		if watching {
			i = 1
		}
		lists[i] = append(lists[i], user)
		b.size += proto.EncodedLen(user) + 1
		if p.news.watches == nil {
			p.news.watches = make(map[string]bool)
		}
		p.news.watches[user] = watching
		delete(all.watches, user)
	}
	for i, list := range []*[]proto.Watch{&b.req.Unwatched, &b.req.Watched} {
		if len(lists[i]) > 0 {
			*list = append(*list, proto.Watch{UserID: s.actor.User, PID: s.pid, Fence: fence, UserIDs: lists[i]})
			b.size += proto.EncodedLen(s.actor.User) + 128
		}
	}
}

// putBack makes what could not be told news again, before what came meanwhile;
// where something of that is about the same, it counts.
func (a *announcer) putBack(b *batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	back := make([]*Session, 0, len(b.parts)+len(a.order))
	for i := range b.parts {
		s, was := b.parts[i].session, &b.parts[i].news
		n := a.news[s]
		if n == nil {
			a.news[s] = was
			back = append(back, s)
			continue
		}
		n.opened = n.opened || was.opened
		if n.closed == nil {
			n.closed = was.closed
		}
		for chat, c := range was.views {
			newer := n.views[chat]
			if newer == nil {
				if n.views == nil {
					n.views = make(map[string]*viewChange)
				}
				n.views[chat] = c
				continue
			}
			newer.quiet = newer.quiet && c.quiet
			c.release() // nobody waits for what is not so any more
		}
		for user, watching := range was.watches {
			if _, newer := n.watches[user]; !newer {
				if n.watches == nil {
					n.watches = make(map[string]bool)
				}
				n.watches[user] = watching
			}
		}
	}
	a.order = append(back, a.order...)
}
