package gateway

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/gateway/catchup"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// maxRounds bounds how often what a connection needs is asked for again,
// because it changed while it was being asked for.
const maxRounds = 5

// errEpoch says that the log is another one than this gateway serves from.
var errEpoch = errors.New("the log has another epoch")

// prepare subscribes to everything a new session may get and finds out how far
// its device is. From here on nothing can be missed; nothing is sent before
// activate. On an error the session is to be given up with gone.
func (svc *Service) prepare(ctx context.Context, s *Session) (proto.OpenRes, error) {
	err := svc.hub.withUser(s.user, func(t *topic) { t.joinLocked(s, hold, nil) })
	if err != nil {
		return proto.OpenRes{}, err
	}
	isNew := false
	for round := 1; ; round++ {
		s.takeStale()
		before := svc.hub.clock.Load()
		res, err := svc.ask(ctx, s)
		if err != nil {
			return res, err
		}
		isNew = isNew || res.NewDevice
		res.NewDevice = isNew
		var fresh []string // subjects that may have missed what came before they were live
		for i := range res.Chats {
			token, err := proto.EncodeID(res.Chats[i].ChatID)
			if err != nil {
				return res, fmt.Errorf("open: chat id: %w", err)
			}
			if err := svc.hub.withChat(token, res.Chats[i].ChatID, func(t *topic) {
				t.joinLocked(s, hold, nil)
				if t.born > before {
					fresh = append(fresh, t.log())
				}
			}); err != nil {
				return res, err
			}
		}
		if round == maxRounds {
			return res, nil
		}
		// The answer knows all up to its position, and what is stored from now
		// on comes live. If there is something in between, the next answer knows it.
		if len(fresh) > 0 && !s.isStale() && svc.missed(ctx, fresh, res.Position) {
			continue
		}
		if !s.isStale() {
			return res, nil
		}
	}
}

func (s *Session) isStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// ask is rpc.chat.open, with the check that the log is the one served from, and
// without memberships that have ended meanwhile.
func (svc *Service) ask(ctx context.Context, s *Session) (proto.OpenRes, error) {
	res, err := services.Do(ctx, svc.host, proto.OpenDevice, s.actor, proto.OpenReq{})
	if err != nil {
		return res, err
	}
	if err := svc.checkEpoch(res.Epoch); err != nil {
		return res, err
	}
	res.Chats = svc.departed.without(res.Chats, s.user)
	return res, nil
}

// activate lets a prepared session have what is live, and starts to send what
// it is owed. What changed since it was prepared is asked for again.
func (svc *Service) activate(ctx context.Context, s *Session, res proto.OpenRes) {
	own := svc.hub.user(s.user)
	if own == nil { // it has closed
		return
	}
	if !svc.settleOwn(ctx, own, s, res.Position) {
		s.close(proto.CloseOverloaded)
		return
	}
	for round := 1; !svc.settle(s, res, round == maxRounds); round++ {
		svc.suspect(own) // it may be for copies that were dropped
		next, err := svc.prepare(ctx, s)
		if err != nil {
			svc.host.Log().WarnContext(ctx, "open again", "error", err)
			s.close(proto.CloseOverloaded)
			return
		}
		res = next
	}
	svc.startBacklog(s)
}

// settle gives the session its place in each topic; false if something
// happened after res was made that res would have to know of.
func (svc *Service) settle(s *Session, res proto.OpenRes, last bool) bool {
	listed := make(map[proto.Token]bool, len(res.Chats))
	whole := true
	for i := range res.Chats {
		head := &res.Chats[i]
		token, err := proto.EncodeID(head.ChatID)
		if err != nil {
			continue
		}
		listed[token] = true
		if t := svc.hub.chat(token); t != nil {
			whole = t.settle(s, head, res.Position, last) && whole
		}
	}
	for _, t := range s.topicList() {
		if t.chat != "" && !listed[t.token] && t.holds(s) {
			svc.hub.release(t, s) // a member of the first answer that is none any more
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if (s.stale || !whole) && !last {
		return false
	}
	if s.phase == opening {
		s.phase = open
	}
	return true
}

func (s *Session) topicList() []*topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*topic(nil), s.topics...)
}

func (t *topic) holds(s *Session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.indexLocked(s)
	return i >= 0 && t.members[i].from == hold
}

// settle ends the hold of one session in one chat.
func (t *topic) settle(s *Session, head *proto.ChatHead, position uint64, last bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.indexLocked(s)
	if i < 0 || t.members[i].from != hold {
		return true
	}
	if t.applied > head.Version && !last {
		return false // the answer is older than what has been applied here
	}
	t.beginLocked(position)
	for kind := range t.tracks {
		// Passed on after the answer was made, when this session was held.
		// Messages come again from the backlog, others do not: ask again.
		if kind != kindMessage && t.tracks[kind].Last() > position && !last {
			return false
		}
	}
	m := &t.members[i]
	m.from = position
	t.version = max(t.version, head.Version)
	owed := catchup.Owe(head.Delivered, head.LastSeq, head.LastPosition)
	if t.seq > head.LastSeq {
		owed.Note(t.seq, t.tracks[kindMessage].Last(), false)
	}
	if from, ok := owed.Settled(); ok {
		m.from = max(m.from, from)
	} else {
		m.owed = owed
	}
	return true
}
