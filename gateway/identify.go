package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/rawjson"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// credentials are what a client presents, in either profile.
type credentials struct {
	token, device string
	// pid is of a session of before, if it is one of ours: apps put here what they
	// like. An offset may stand here too; what was missed is not sent by it yet.
	pid string
}

// readCredentials reads the auth object. Members that are not read here may be anything,
// and so may the type of those that are; one that is read must stand once.
func readCredentials(object []byte) (c credentials, ok bool) {
	seen := map[string]bool{}
	ok = true
	whole := rawjson.Object(object, func(name, value []byte) {
		var field *string
		key, _ := rawjson.Text(name)
		switch string(key) {
		case "token":
			field = &c.token
		case "deviceId":
			field = &c.device
		case "pid":
			field = &c.pid
		default:
			return
		}
		ok = ok && !seen[string(key)]
		seen[string(key)] = true
		text, _ := rawjson.Text(value)
		*field = string(text)
	})
	return c, ok && whole
}

// defaultDevice stands for the device of a client that names none.
const defaultDevice = "default"

// identify says who a client is. The token is looked up in the auth object,
// then in the query, then in the Authorization header (CONTRACT §3). returns is
// the session it says it had. The error is an *auth.Refusal, or one that means:
// come back later.
func (svc *Service) identify(ctx context.Context, object []byte, query url.Values, authorization string) (who auth.Identity, returns string, err error) {
	var c credentials
	if len(object) > 0 {
		var ok bool
		if c, ok = readCredentials(object); !ok {
			return who, "", &auth.Refusal{Code: proto.InvalidPayload, Message: "Authentication failed", Detail: "auth object does not parse"}
		}
		if proto.CheckID(c.pid) != nil {
			c.pid = ""
		}
	}
	if c.token == "" {
		c.token = query.Get("token")
	}
	if c.token == "" {
		c.token = auth.Bearer(authorization)
	}
	who, err = svc.verifier.Verify(ctx, c.token)
	if err != nil {
		return who, "", err
	}
	if who.Device == "" {
		if c.device != "" && proto.CheckID(c.device) != nil {
			return who, "", &auth.Refusal{Code: proto.InvalidPayload, Message: "Invalid token payload", Detail: "deviceId is malformed"}
		}
		who.Device = c.device
	}
	return who, c.pid, nil
}

var (
	errTooFast = errors.New("too many new connections of one user") // RATE_LIMIT_MAX_CONNECTIONS
	errTooMany = errors.New("too many connections of one user")     // MAX_CONNECTIONS_PER_USER
)

// connectionLimit is the error for a client that is over a bound of its user: come back in retryAfter.
func connectionLimit(cause error, retryAfter time.Duration) error {
	return fmt.Errorf("%w: %w", cause, &proto.Error{Code: proto.ConnectionLimit, Message: cause.Error(), RetryAfter: retryAfter})
}

// refusalOf returns the reason of an error of welcome.
func refusalOf(err error) refusal {
	switch {
	case errors.Is(err, errTooFast):
		return refusedUserRate
	case errors.Is(err, errTooMany):
		return refusedUserBound
	}
	return refusedUnavailable
}

// welcome makes the session of an identified client and everything it needs.
// An error means: come back later; the session is given up already.
func (svc *Service) welcome(ctx context.Context, p peer, id string, who auth.Identity, returns string) (*Session, error) {
	named := who.Device != ""
	if !named {
		who.Device = defaultDevice
	}
	s, err := svc.newSession(p, id, who)
	if err != nil {
		return nil, err
	}
	if ok, wait := svc.limiter.Allow(ctx, connectRule, string(s.user)); !ok {
		return nil, connectionLimit(errTooFast, wait)
	}
	if err := svc.openings.enter(ctx, returns != ""); err != nil {
		return nil, fmt.Errorf("wait for a turn: %w", err)
	}
	defer svc.openings.leave()
	if err := svc.joinUser(ctx, s, returns); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, proto.RequestTimeout)
	defer cancel()
	registered := svc.register(ctx, s, returns)
	res, err := svc.prepare(ctx, s)
	if err != nil {
		s.gone()
		return nil, err
	}
	had := <-registered
	if err := svc.checkUserBound(ctx, s, had.Elsewhere); err != nil {
		s.gone()
		return nil, err
	}
	s.opened = &opened{res: res, named: named, had: had}
	return s, nil
}

// opened is what is known between the answer to a connection and its start.
type opened struct {
	res   proto.OpenRes
	named bool // the client named its device
	had   proto.OpenSessionRes
}

// start makes a session live: `connected` is the first thing it gets.
func (svc *Service) start(ctx context.Context, s *Session) {
	o := s.opened
	s.opened = nil
	hello := proto.Connected{
		UserID: s.actor.User, SocketID: s.id, PID: s.pid,
		ServerTime: proto.At(time.Now()), TokenExpiresAt: proto.At(time.UnixMilli(s.expires.Load())),
		Features: svc.features, Limits: svc.limits, MaxPayload: svc.cfg.MaxPayload,
	}
	if o.named {
		hello.DeviceID = s.actor.Device
	}
	for i := range o.res.Chats {
		hello.Missed += o.res.Chats[i].Missed
	}
	data, err := wire.Marshal(hello)
	if err != nil {
		svc.host.Log().ErrorContext(ctx, "encode connected", "error", err)
		s.close(proto.CloseInternal)
		return
	}
	_ = s.send(durableFrame(s.peer.profile(), proto.ConnectedEvent.Name, data, o.res.Position)) // the first frame: the queue is empty
	s.mu.Lock()
	s.counted = true
	s.mu.Unlock()
	svc.metrics.connections.add(s.peer.profile(), 1)
	if svc.admission.draining.Load() {
		svc.tellDrain(s)
	}
	svc.activate(ctx, s, o.res)
	svc.restore(s, &o.had)
	svc.asker.returned(s, o.had.Was)
	now := time.Now()
	s.mu.Lock()
	if s.peer.profile() == profilePlain {
		s.watchAt = now.Add(millis(svc.cfg.PingInterval))
	}
	s.mu.Unlock()
	svc.timers.Set(&s.timer, s, min(s.next(now), s.watch(now)))
}
