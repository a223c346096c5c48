package gateway

import (
	"context"
	"time"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// timerGranularity is how exact expiry and idleness are. One timer serves all.
const timerGranularity = 20 * time.Millisecond

// warnBefore is when auth:expiring comes (CONTRACT §5).
const warnBefore = 60 * time.Second

var _ deadline.Expirer = (*Session)(nil)

// Expire does what is due of a session: token, idleness, pings of the plain
// profile. It implements deadline.Expirer and does not block.
func (s *Session) Expire() {
	now := time.Now()
	if !s.is(open) {
		return
	}
	expires := time.UnixMilli(s.expires.Load())
	if !now.Before(expires) {
		s.fail(&proto.Error{Code: proto.TokenExpired, Message: "the token has expired"}, "")
		s.close(proto.CloseTokenExpired)
		return
	}
	if idle := millis(s.svc.cfg.MaxIdle); idle > 0 && now.Sub(time.UnixMilli(s.active.Load())) >= idle && !s.talks(now) {
		s.fail(&proto.Error{Code: proto.IdleTimeout, Message: "no event for too long"}, "")
		s.close(proto.CloseIdle)
		return
	}
	if !now.Before(expires.Add(-warnBefore)) && s.warn() {
		s.emit(proto.AuthExpiringEvent.Name, proto.AuthExpiring{ExpiresAt: proto.At(expires)})
	}
	s.svc.timers.Set(&s.timer, s, min(s.next(now), s.watch(now)))
}

// watch is the peer's own business, and when it is due again.
func (s *Session) watch(now time.Time) time.Duration {
	s.mu.Lock()
	due := s.watchAt
	s.mu.Unlock()
	if due.IsZero() || now.Before(due) {
		return max(due.Sub(now), 0) + neverIf(due.IsZero())
	}
	again := s.peer.watch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if again == 0 {
		s.watchAt = time.Time{}
		return never
	}
	s.watchAt = now.Add(again)
	return again
}

// never is longer than any connection lives between two looks.
const never = time.Hour

func neverIf(yes bool) time.Duration {
	if yes {
		return never
	}
	return 0
}

// warn reports whether the warning is still to be sent.
func (s *Session) warn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.warned
	s.warned = true
	return !was
}

// next is when something of the token or of idleness is due.
func (s *Session) next(now time.Time) time.Duration {
	s.mu.Lock()
	warned := s.warned
	s.mu.Unlock()
	expires := time.UnixMilli(s.expires.Load())
	due := expires
	if !warned {
		due = expires.Add(-warnBefore)
	}
	if idle := millis(s.svc.cfg.MaxIdle); idle > 0 {
		if at := time.UnixMilli(s.active.Load()).Add(idle); at.Before(due) {
			due = at
		}
	}
	return min(max(due.Sub(now), 0), never)
}

// refresh answers auth:refresh: a newer token of the same user.
func (svc *Service) refresh(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.AuthRefreshReq
	if err := wire.Unmarshal(data, &req); err != nil {
		return nil, err
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	who, err := svc.verifier.Verify(ctx, req.Token)
	if err != nil {
		return nil, tokenError(err)
	}
	if who.User != s.actor.User {
		return nil, proto.Errorf(proto.PermissionDenied, "the token is of another user")
	}
	s.expires.Store(who.Expires.UnixMilli())
	s.mu.Lock()
	s.warned = false
	s.mu.Unlock()
	if !s.is(closed) {
		svc.timers.Set(&s.timer, s, s.next(time.Now()))
	}
	body, err := wire.Marshal(struct {
		Success bool `json:"success"`
		proto.AuthRefreshRes
		RequestID string `json:"requestId"`
	}{true, proto.AuthRefreshRes{TokenExpiresAt: proto.At(who.Expires)}, newRequestID()})
	return body, err
}
