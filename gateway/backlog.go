package gateway

import (
	"context"
	"errors"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// lowWater is what may wait for a client before more backlog is sent: what
	// is live never queues behind more than this.
	lowWater = 128 << 10
	// backlogReaders is how many pages are asked for at once by this gateway.
	backlogReaders = 32
)

// startBacklog sends what a session is owed, if it is owed anything, on a
// goroutine that ends with that.
func (svc *Service) startBacklog(s *Session) {
	s.mu.Lock()
	start := !s.behind && s.phase != closed
	s.behind = s.behind || start
	s.mu.Unlock()
	if start {
		svc.spawn(func(ctx context.Context) { svc.backlog(ctx, s) })
	}
}

// backlog sends page after page until nothing is owed or the session is gone.
func (svc *Service) backlog(ctx context.Context, s *Session) {
	p := newPaging()
	for tries := 0; ctx.Err() == nil; {
		owed, stuck := svc.owedTo(s, p)
		if len(owed) == 0 && !stuck {
			s.mu.Lock()
			s.behind = false
			s.mu.Unlock()
			// A topic may have got behind after it was looked at.
			if owed, _ := svc.owedTo(s, p); len(owed) > 0 {
				svc.startBacklog(s)
			}
			return
		}
		if s.is(closed) || !s.drained(ctx) {
			return
		}
		if len(owed) == 0 { // only chats whose next try is not due
			wait(ctx, backlogAgain)
			continue
		}
		err := svc.sendPage(ctx, s, owed, p.limit)
		switch {
		case err == nil:
			tries = 0
			p.answered(owed)
		case isAway(err):
			if tries++; tries == 1 {
				svc.host.Log().WarnContext(ctx, "backlog", "error", err)
			}
			pause(ctx, tries)
		case ctx.Err() == nil:
			svc.metrics.pagesRefused.Add(ctx, 1)
			if p.refused(owed, time.Now()) {
				svc.host.Log().ErrorContext(ctx, "the backlog of a chat is refused", "error", err)
			}
		}
	}
}

// owedTo is the chats in which the session is behind, and the ranges, as many as are to be
// asked for at once. stuck says that there are others whose next try is not due.
func (svc *Service) owedTo(s *Session, p *paging) (owed []proto.BacklogChat, stuck bool) {
	now := time.Now()
	for _, t := range s.topicList() {
		if len(owed) == p.chats {
			break
		}
		t.mu.Lock()
		if i := t.indexLocked(s); i >= 0 && t.members[i].owed != nil {
			if from, ok := t.members[i].owed.Settled(); ok {
				t.catchUpLocked(i, from)
			} else if !p.due(t.chat, now) {
				stuck = true
			} else {
				after, upTo := t.members[i].owed.Range()
				owed = append(owed, proto.BacklogChat{ChatID: t.chat, AfterSeq: after, UpToSeq: upTo})
			}
		}
		t.mu.Unlock()
	}
	return owed, stuck
}

// catchUpLocked lets a member that has everything have what is live.
func (t *topic) catchUpLocked(i int, from uint64) {
	m := &t.members[i]
	m.from, m.owed = max(m.from, from), nil
}

var (
	errNoProgress = errors.New("a page without messages says that there are more")
	errIncomplete = errors.New("a page lacks messages without saying that they are absent")
	errEdited     = errors.New("edited since the page was asked for")
)

func (svc *Service) sendPage(ctx context.Context, s *Session, owed []proto.BacklogChat, limit int) error {
	select {
	case svc.readers <- struct{}{}:
		defer func() { <-svc.readers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for i := range owed {
		svc.withOwed(s, owed[i].ChatID, func(t *topic, i int) { t.members[i].owed.Asking() })
	}
	res, err := services.Do(ctx, svc.host, proto.Backlog, s.actor, proto.BacklogReq{Chats: owed, Limit: limit})
	if err != nil {
		return err
	}
	for i := range res.Absent {
		r := &res.Absent[i]
		svc.withOwed(s, r.ChatID, func(t *topic, i int) { t.members[i].owed.Absent(r.FromSeq, r.ToSeq) })
	}
	stale := make(map[string]bool) // chats of which the rest must be asked for again
	for i := range res.Items {
		if !s.drained(ctx) {
			return nil
		}
		if item := &res.Items[i]; !stale[item.ChatID] {
			again := svc.sendOwed(s, item)
			stale[item.ChatID] = again != nil
			if errors.Is(again, errIncomplete) {
				err = again
			}
		}
	}
	for _, chat := range res.Gone {
		if t := svc.hub.chatOf(chat); t != nil {
			svc.expel(ctx, s, t)
		}
	}
	if res.More {
		if len(res.Items) == 0 && len(res.Gone) == 0 {
			return errNoProgress
		}
		return err
	}
	for _, o := range owed {
		if !stale[o.ChatID] && !svc.answered(s, o) {
			err = errIncomplete
		}
	}
	return err
}

// expelTimeout is how long a removal that chat knows of may take to come by the log.
const expelTimeout = 5 * time.Second

// expel ends a membership that chat says is over. The removal itself is on its
// way, or in the log, and is to be the last the client gets of this chat. A
// membership that began anew meanwhile stays.
func (svc *Service) expel(ctx context.Context, s *Session, t *topic) {
	was, member := t.member(s)
	svc.suspect(t)
	for end := time.Now().Add(expelTimeout); member && time.Now().Before(end); {
		if !wait(ctx, 5*time.Millisecond) {
			return
		}
		now, still := t.member(s)
		member = still && now.version == was.version
	}
	if member {
		svc.hub.release(t, s)
	}
}

// member is a session in a topic, as it is now.
func (t *topic) member(s *Session) (member, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.indexLocked(s)
	if i < 0 {
		return member{}, false
	}
	return t.members[i], true
}

// sendOwed sends one message of a page, unless the session is no member of the
// chat any more or has had it. After errEdited and errIncomplete it is to be asked for again.
func (svc *Service) sendOwed(s *Session, item *proto.LogItem) (again error) {
	full := false
	// Under the topic's lock, so that nothing can follow a removal.
	svc.withOwed(s, item.ChatID, func(t *topic, i int) {
		switch owed := t.members[i].owed; {
		case owed.Stale(item.Seq):
			again = errEdited
		case !owed.Follows(item.Seq):
			again = errIncomplete
		case owed.Replayed(item.Seq):
			full = s.send(durableFrame(s.peer.profile(), proto.MessageNew.Name, item.Body, item.Position))
		}
	})
	if full {
		s.closeSlow()
	}
	return again
}

// answered reports whether a whole range has come.
func (svc *Service) answered(s *Session, o proto.BacklogChat) (whole bool) {
	whole = true
	svc.withOwed(s, o.ChatID, func(t *topic, i int) {
		whole = t.members[i].owed.Answered(o.UpToSeq)
		if from, ok := t.members[i].owed.Settled(); ok {
			t.catchUpLocked(i, from)
		}
	})
	return whole
}

// withOwed calls fn with the locked topic of a chat in which the session is
// behind, as member i; it does nothing where there is no such.
func (svc *Service) withOwed(s *Session, chatID string, fn func(t *topic, i int)) {
	t := svc.hub.chatOf(chatID)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.indexLocked(s); i >= 0 && t.members[i].owed != nil {
		fn(t, i)
	}
}

// drained waits until little is queued for the client; false if it has gone.
// A client that does not read is dropped by its transport in the end.
func (s *Session) drained(ctx context.Context) bool {
	if s.peer.queued() <= lowWater {
		return true
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.peer.queued() > lowWater {
		if s.is(closed) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
