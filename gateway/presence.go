package gateway

import (
	"context"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

const (
	// openPatience is how long a connection waits for presence to know of it;
	// then it is served, and announced later.
	openPatience = time.Second
	// openImpatience is the same while presence is known to be away.
	openImpatience = 50 * time.Millisecond
)

// register tells presence of a session that is about to be made, and what it
// says that it had before. The answer always comes: the zero one if presence has
// none in time, and then the session is announced later.
func (svc *Service) register(ctx context.Context, s *Session, returns string) <-chan proto.OpenSessionRes {
	answer := make(chan proto.OpenSessionRes, 1)
	name := svc.announcer.called()
	done := func(r services.Reply) {
		var res proto.OpenSessionRes
		if r.Err != nil || wire.Restore(r.Body, &res) != nil || res.Fence == 0 {
			res = proto.OpenSessionRes{}
			svc.metrics.openedLate.Add(svc.ctx, 1)
		}
		svc.announcer.trouble.Store(r.Err != nil) // until a try to tell it succeeds
		svc.registered(s, &res, name)
		answer <- res
	}
	body, err := wire.Marshal(proto.OpenSessionReq{Gateway: name, Inbox: svc.run, PID: s.pid, Returns: returns})
	if err != nil {
		done(services.Reply{Err: proto.AsError(err)})
		return answer
	}
	patience := openPatience
	if svc.announcer.trouble.Load() {
		patience = openImpatience
	}
	svc.host.Ask(ctx, services.Question{
		Subject: proto.OpenSession.Subject, Actor: s.actor.Header(), Body: body, Idempotent: true, Timeout: patience,
	}, done)
	return answer
}

// registered notes presence's answer. A connection that has ended meanwhile is
// told to have ended, since nothing else would.
func (svc *Service) registered(s *Session, res *proto.OpenSessionRes, name string) {
	s.mu.Lock()
	s.announced = true
	s.away = res.Status == proto.StatusAway
	over := s.phase == closed && s.laneLocked(servicePresence) == nil
	s.mu.Unlock()
	if res.Fence != 0 {
		s.fence.Store(res.Fence)
		s.learnOwn(res.Own)
	}
	// The name is looked at only now: a renaming that did not find this one
	// announced relies on that.
	if res.Fence == 0 || name != svc.announcer.called() {
		svc.announcer.open(s)
	}
	if over {
		s.reportEnd(servicePresence)
	}
}

func (s *Session) isAnnounced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced
}

// restore gives a session that returns what it had. Presence has carried it over:
// nobody is told. Where it is a member no more, that ends now.
func (svc *Service) restore(s *Session, had *proto.OpenSessionRes) {
	if !had.Returned {
		return
	}
	for _, chat := range had.Views {
		opened := false
		if t := svc.hub.chatOf(chat); t != nil {
			t.mu.Lock()
			opened = svc.reopenLocked(t, s)
			t.mu.Unlock()
		}
		if !opened {
			svc.announcer.view(chat, s, false, false)
		}
	}
	for _, user := range had.Watches[:min(len(had.Watches), proto.MaxSubscriptions)] {
		if _, _, err := svc.watched.watch(s, user); err != nil {
			svc.host.Log().Warn("restore a subscription", "error", err)
			svc.announcer.watch(s, []string{user}, false)
		}
	}
	svc.checks.session(s) // which tells it how they are there by now
}

// leave notes that the client said goodbye: it does not return.
func (s *Session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.final = true
}

// takeoverInbox is where presence says that a connection is continued by another.
func (svc *Service) takeoverInbox() string {
	return proto.GatewayInbox(proto.Token(svc.run), proto.TakeoverEvent)
}

// takeover closes the connection that presence names, if it is still that one.
func (svc *Service) takeover(e *ephemeral) {
	var what proto.Takeover
	if err := wire.Restore(e.body, &what); err != nil {
		svc.host.Log().Warn("takeover does not parse", "error", err)
		return
	}
	user, err := proto.EncodeID(what.UserID)
	if err != nil {
		return
	}
	for _, s := range svc.hub.sessions(user) {
		// One without a fence is being told of: presence has given it this one.
		if fence := s.fence.Load(); s.id == what.SocketID && s.pid == what.PID && (fence == 0 || fence == what.Fence) {
			s.takenOver()
		}
	}
}

// takenOver ends a connection that lives on elsewhere: presence knows.
func (s *Session) takenOver() {
	s.mu.Lock()
	s.taken = true
	s.mu.Unlock()
	s.close(proto.CloseTakenOver)
}

func (s *Session) isTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// updatePresence answers presence:update: presence decides, and the gateway
// remembers, to tell it again should presence lose it.
func (svc *Service) updatePresence(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.UpdatePresenceReq
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	reply, err := svc.host.Request(ctx, proto.UpdatePresence.Subject, s.actor, data, services.WithRow(proto.UpdatePresence.Row))
	switch {
	case err != nil:
		return nil, err
	case reply.Err != nil:
		return nil, reply.Err
	}
	var res proto.UpdatePresenceRes
	if err := wire.Restore(reply.Body, &res); err != nil {
		return nil, err
	}
	for _, other := range svc.hub.sessions(s.user) {
		other.remember(req.Wanted(), s.actor.Device)
	}
	svc.ownPresence(s.user, res.Own)
	return reply.Body, nil
}

// remember notes what one device of the user has set.
func (s *Session) remember(status proto.Status, device string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.actor.Device == device {
		switch status {
		case proto.StatusOnline, proto.StatusAway:
			s.away = status == proto.StatusAway
		case proto.StatusBusy, proto.StatusOffline, proto.StatusUnknown: // of the user
		}
	}
}

// subscribePresence answers presence:subscribe. While presence is away the
// subscription stands, and what is unknown is told when it is back.
func (svc *Service) subscribePresence(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.SubscribePresenceReq
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	all, fresh, err := svc.watchAll(s, req.UserIDs)
	if err != nil {
		return nil, err
	}
	res := proto.SubscribePresenceRes{Presences: make([]proto.Presence, 0, len(all)), Denied: []string{}}
	left, err := svc.lookAt(ctx, s, all, true, &res)
	if err != nil && !proto.AsError(err).Code.Row().Retryable {
		for _, w := range fresh {
			svc.watched.leave(w, s)
		}
		return nil, err
	}
	for _, w := range left {
		res.Presences = append(res.Presences, proto.Presence{UserID: w.user, Status: proto.StatusUnknown})
	}
	svc.checks.add(s, left)
	var users []string
	for _, w := range fresh {
		users = append(users, w.user)
	}
	svc.announcer.watch(s, users, true)
	res.Total = len(s.watchList())
	return ack(res)
}

// watchAll has a session watch users; fresh is those that it did not already.
func (svc *Service) watchAll(s *Session, users []string) (all, fresh []*watched, err error) {
	total := len(s.watchList())
	once := make(map[string]bool, len(users))
	for _, user := range users {
		token, err := proto.EncodeID(user)
		if err != nil {
			return nil, nil, err
		}
		if !once[user] && !s.isWatching(token) {
			total++
		}
		once[user] = true
	}
	if total > proto.MaxSubscriptions {
		return nil, nil, proto.Errorf(proto.SubscriptionLimit, "at most %d subscriptions of one connection", proto.MaxSubscriptions)
	}
	for _, user := range users {
		if !once[user] {
			continue
		}
		once[user] = false
		w, isNew, err := svc.watched.watch(s, user)
		if err != nil {
			for _, w := range fresh {
				svc.watched.leave(w, s)
			}
			svc.host.Log().Warn("watch a user", "error", err)
			return nil, nil, &proto.Error{Code: proto.ServiceUnavailable, Message: "presence cannot be subscribed for a moment", RetryAfter: time.Second}
		}
		if w != nil {
			all = append(all, w)
		}
		if isNew {
			fresh = append(fresh, w)
		}
	}
	return all, fresh, nil
}

// unsubscribePresence answers presence:unsubscribe.
func (svc *Service) unsubscribePresence(_ context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.UnsubscribePresenceReq
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	var ended []string
	for _, user := range req.UserIDs {
		token, err := proto.EncodeID(user)
		if err != nil {
			return nil, err
		}
		if w := svc.watched.get(token); w != nil && s.isWatching(token) {
			svc.watched.leave(w, s)
			ended = append(ended, user)
		}
	}
	svc.announcer.watch(s, ended, false)
	return ack(proto.UnsubscribePresenceRes{Total: len(s.watchList())})
}
