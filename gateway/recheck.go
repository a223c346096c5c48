package gateway

import (
	"context"
	"sync"

	"supmesh.dev/proto"
)

// recheckWorkers is how many sessions are asked about at once after live
// copies may have been missed.
const recheckWorkers = 16

// recheckSoon has everything that is hosted here compared with the log:
// after a reconnect, or when copies were dropped. Calls that come before it
// has begun are one.
func (svc *Service) recheckSoon() {
	select {
	case svc.recheck <- struct{}{}:
	default:
	}
}

func (svc *Service) recheckLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-svc.recheck:
		}
		svc.metrics.rechecks.Add(ctx, 1)
		svc.checks.everything()
		// Those that are opening first: who opens after this look finds its user's
		// topic suspected, or does it itself.
		everyone := svc.hub.everyone()
		for _, s := range everyone {
			s.markStale()
		}
		for _, t := range all(&svc.hub.users) {
			svc.suspect(t)
		}
		svc.asker.again(everyone)
		svc.recheckSessions(ctx, everyone)
	}
}

func (svc *Service) recheckSessions(ctx context.Context, sessions []*Session) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, recheckWorkers)
	for _, s := range sessions {
		if ctx.Err() != nil {
			break
		}
		if s.markStale() || !s.is(open) { // one that is opening asks again by itself
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for tries := 1; ctx.Err() == nil && s.is(open); tries++ {
				err := svc.reconcile(ctx, s)
				if err == nil {
					return
				}
				if tries == 1 {
					svc.host.Log().WarnContext(ctx, "recheck", "error", err)
				}
				pause(ctx, tries)
			}
		})
	}
	wg.Wait()
}

// reconcile compares what an open session is served with what it should be.
// Chats it joined unnoticed are added; in those it has, the log is read where
// it is ahead, which also brings a removal that went unnoticed, in its place.
func (svc *Service) reconcile(ctx context.Context, s *Session) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	res, err := svc.ask(ctx, s)
	if err != nil {
		return err
	}
	listed := make(map[proto.Token]bool, len(res.Chats))
	for i := range res.Chats {
		head := &res.Chats[i]
		token, err := proto.EncodeID(head.ChatID)
		if err != nil {
			return err
		}
		listed[token] = true
		var joined, suspicious *topic
		err = svc.hub.withChat(token, head.ChatID, func(t *topic) {
			t.joinLocked(s, hold)
			if i := t.indexLocked(s); i >= 0 && t.members[i].from == hold {
				joined = t
				return
			}
			if head.LastPosition > t.tracks[kindMessage].Last() && t.tracks[kindMessage].Begun() ||
				head.Version > t.version && t.version > 0 {
				t.suspectLocked()
				suspicious = t
			}
			t.version = max(t.version, head.Version)
		})
		if err != nil {
			return err
		}
		if suspicious != nil {
			svc.repairs.push(suspicious)
		}
		if joined != nil {
			if _, err := svc.settleIn(ctx, s, joined, head, res.Position, &place{at: max(head.Joined, 1) - 1}); err != nil {
				return err
			}
		}
	}
	for _, t := range s.topicList() {
		// One that began after the answer was made cannot be in it.
		if m, member := t.member(s); t.chat != "" && !listed[t.token] && member && m.told < res.Position {
			svc.expel(ctx, s, t)
		}
	}
	svc.startBacklog(s)
	return nil
}

// suspect has a topic's log read.
func (svc *Service) suspect(t *topic) {
	t.mu.Lock()
	t.suspectLocked()
	_, reading := t.readingLocked()
	t.mu.Unlock()
	if reading {
		svc.repairs.push(t)
	}
}
