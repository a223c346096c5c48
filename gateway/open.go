package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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
	err := svc.hub.withUser(s.user, func(t *topic) { t.joinLocked(s, hold) })
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
				t.joinLocked(s, hold)
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

// maxBehind is how often chat is asked anew because it lists a membership that has
// ended; with the pauses about 100 ms. It may have begun again since.
const maxBehind = 3

// ask is rpc.chat.open, with the check that the log is the one served from, and
// without memberships that have ended meanwhile.
func (svc *Service) ask(ctx context.Context, s *Session) (proto.OpenRes, error) {
	for tries := 1; ; tries++ {
		res, err := svc.askPages(ctx, s)
		if err != nil {
			return res, err
		}
		listed := len(res.Chats)
		res.Chats = svc.departed.without(res.Chats, s.user)
		if len(res.Chats) == listed || tries > maxBehind {
			return res, nil
		}
		pause(ctx, tries)
	}
}

// askPages reads all pages of an answer to rpc.chat.open into one. Its position is the
// first page's: all of it is known as of then, or later.
func (svc *Service) askPages(ctx context.Context, s *Session) (res proto.OpenRes, err error) {
	for req := (proto.OpenReq{}); ; {
		page, err := services.Do(ctx, svc.host, proto.OpenDevice, s.actor, req)
		if err == nil {
			err = svc.checkEpoch(page.Epoch)
		}
		if err != nil {
			return res, err
		}
		if req.Cursor == "" {
			res = page
		} else {
			res.Position = min(res.Position, page.Position)
			res.Chats = append(res.Chats, page.Chats...)
		}
		if page.NextCursor == "" {
			break
		}
		req.Cursor = page.NextCursor
	}
	slices.SortStableFunc(res.Chats, func(a, b proto.ChatHead) int { return cmp.Compare(b.LastPosition, a.LastPosition) })
	return res, nil
}

// activate lets a prepared session have what is live, and starts to send what
// it is owed.
func (svc *Service) activate(ctx context.Context, s *Session, res proto.OpenRes) {
	own := svc.hub.user(s.user)
	if own == nil { // it has closed
		return
	}
	if !svc.settleOwn(ctx, own, s, res.Position) {
		s.close(proto.CloseOverloaded)
		return
	}
	unsure, err := svc.settleChats(ctx, s, &res)
	if err != nil {
		if !errors.Is(err, errEnded) {
			svc.host.Log().WarnContext(ctx, "open", "error", err)
		}
		s.close(proto.CloseOverloaded)
		return
	}
	if unsure {
		svc.suspect(own)
		svc.spawn(func(ctx context.Context) { svc.recheckSessions(ctx, []*Session{s}) })
	}
	svc.startBacklog(s)
}

// errEnded says that a connection ended while it was being served.
var errEnded = errors.New("the connection ended")

// settleChats ends the hold of a session in all chats. From its beginning on what
// changes concerns the session as it does others; what changed since the answer was
// made is told from the log, chat by chat. unsure: copies may have been dropped meanwhile.
func (svc *Service) settleChats(ctx context.Context, s *Session, res *proto.OpenRes) (unsure bool, err error) {
	s.settling.Lock()
	defer s.settling.Unlock()
	changes, unsure, err := svc.opened(s)
	if err != nil {
		return unsure, err
	}
	listed := make(map[proto.Token]bool, len(res.Chats))
	for i := range res.Chats {
		head := &res.Chats[i]
		token, err := proto.EncodeID(head.ChatID)
		if err != nil {
			continue
		}
		listed[token] = true
		if t := svc.hub.chat(token); t != nil && t.holds(s) {
			p := &place{at: res.Position, member: head.Joined <= res.Position}
			if _, err := svc.settleIn(ctx, s, t, head, res.Position, p); err != nil {
				return unsure, err
			}
		}
	}
	unlisted := make(map[*topic]*place)
	for _, t := range s.topicList() {
		switch c, changed := changes[t.token]; {
		case t.chat == "" || listed[t.token] || !t.holds(s):
		case changed:
			unlisted[t] = &place{at: res.Position, least: c.last, member: c.joined && c.last <= res.Position}
		default: // one of an earlier answer: the end of that membership is on its way
			t.serve(s, res.Position)
			svc.spawn(func(ctx context.Context) { svc.expel(ctx, s, t) })
		}
	}
	return unsure, svc.settleUnlisted(ctx, s, unlisted)
}

// opened makes an opening session an open one, which is held in every chat whose
// membership changed meanwhile. It returns these, and whether there may be more.
func (svc *Service) opened(s *Session) (changes map[proto.Token]passedChange, unsure bool, err error) {
	for held := 0; ; {
		s.mu.Lock()
		changes = s.changes
		if len(changes) == held {
			s.changes, unsure = nil, s.unsure
			if s.phase == opening {
				s.phase = open
			}
			s.mu.Unlock()
			return changes, unsure, nil
		}
		changes = maps.Clone(changes)
		s.mu.Unlock()
		held = len(changes)
		for token, c := range changes {
			if err := svc.hub.withChat(token, c.chat, func(t *topic) { t.joinLocked(s, hold) }); err != nil {
				return nil, false, err
			}
		}
	}
}

// maxUnlisted is how often chat is asked for a chat that by the log the user is a
// member of; with the pauses about 5 s.
const maxUnlisted = 10

// settleUnlisted ends the hold of a session in chats that the answer did not list.
func (svc *Service) settleUnlisted(ctx context.Context, s *Session, unlisted map[*topic]*place) error {
	for tries := 0; len(unlisted) > 0; tries++ {
		if tries > 0 {
			pause(ctx, tries)
		}
		res, err := svc.ask(ctx, s)
		if err != nil {
			return err
		}
		heads := make(map[string]*proto.ChatHead, len(res.Chats))
		for i := range res.Chats {
			heads[res.Chats[i].ChatID] = &res.Chats[i]
		}
		for t, p := range unlisted {
			done, err := svc.settleIn(ctx, s, t, heads[t.chat], res.Position, p)
			if err != nil {
				return err
			}
			if !done && tries >= maxUnlisted {
				svc.host.Log().ErrorContext(ctx, "chat does not know of a membership", "subject", t.log())
				svc.hub.release(t, s)
				done = true
			}
			if done {
				delete(unlisted, t)
			}
		}
	}
	return nil
}

// settleIn ends the hold of a session in one chat, once it has been told what passed
// there. It returns false if the session is a member, and chat's answer does not list it.
func (svc *Service) settleIn(ctx context.Context, s *Session, t *topic, head *proto.ChatHead, position uint64, p *place) (done bool, err error) {
	late := !p.member
	for {
		switch what, upTo := svc.settle(t, s, head, position, p); what {
		case settled:
			if late { // what passed before the subscription, behind the place
				svc.suspect(t)
			}
			return true, nil
		case over:
			svc.hub.prune(t)
			return true, nil
		case headless:
			return false, nil
		case passedBy:
			if !svc.tell(ctx, s, t, p, upTo) {
				return false, errEnded
			}
		}
	}
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

// serve has a session that is held in a chat served live from a position on.
func (t *topic) serve(s *Session, position uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.indexLocked(s); i >= 0 {
		t.members[i].from, t.members[i].told = position, position
		t.beginLocked(position)
	}
}

// What became of ending a hold.
type settling int

const (
	settled  settling = iota // it has ended
	over                     // and so has the membership
	passedBy                 // something has passed that the session is to be told first
	headless                 // a member, but not by chat's answer
)

// settle ends the hold of one session in one chat, if it has been told of all that
// has passed. With passedBy it says up to where that is.
func (svc *Service) settle(t *topic, s *Session, head *proto.ChatHead, position uint64, p *place) (what settling, upTo uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.indexLocked(s)
	if i < 0 || t.members[i].from != hold {
		return settled, 0
	}
	end := svc.departed.last(t.token, s.user)
	upTo = max(t.otherLocked(), p.least, end.position)
	if head != nil && !p.member {
		upTo = max(upTo, head.Joined)
	}
	if upTo > p.at {
		return passedBy, upTo
	}
	known := p.version
	if head != nil {
		known = max(known, head.Version)
	}
	if !p.member || end.version > known {
		t.leaveLocked(s)
		s.noteLeft(t.token, p.at)
		return over, 0
	}
	if head == nil {
		return headless, 0
	}
	t.beginLocked(p.at)
	m := &t.members[i]
	m.from, m.told, m.version = position, p.at, max(m.version, p.version)
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
	return settled, 0
}
