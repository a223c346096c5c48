package presence

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// listSessions is a user's own connections.
func (s *Service) listSessions(ctx context.Context, req proto.ListSessionsReq) (proto.SessionsRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.SessionsRes{}, err
	}
	records, err := s.load(ctx, who.user)
	if err != nil {
		return proto.SessionsRes{}, unavailable(err)
	}
	return s.sessionsPage(&records[0].Record, s.now(), who.Socket, req.Cursor)
}

// userSessions is a user's connections, for a backend.
func (s *Service) userSessions(ctx context.Context, req proto.PresenceOf) (proto.SessionsRes, error) {
	state, err := s.get(ctx, req)
	return proto.SessionsRes{Sessions: state.Sessions, NextCursor: state.NextCursor}, err
}

// get is all that is known of a user, for a backend.
func (s *Service) get(ctx context.Context, req proto.PresenceOf) (proto.PresenceState, error) {
	if err := services.BackendOnly(ctx); err != nil {
		return proto.PresenceState{}, err
	}
	user, err := proto.EncodeID(req.UserID)
	if err != nil {
		return proto.PresenceState{}, proto.FieldError("userId", err)
	}
	records, err := s.load(ctx, user)
	if err != nil {
		return proto.PresenceState{}, unavailable(err)
	}
	r, now := &records[0].Record, s.now()
	sessions, err := s.sessionsPage(r, now, "", req.Cursor)
	return proto.PresenceState{
		UserID: req.UserID, Status: r.Actual(now), Effective: r.Presence(req.UserID).Status, LastSeen: r.Seen,
		Version: r.Shown.Version, Own: r.OwnPresence(), Sessions: sessions.Sessions, NextCursor: sessions.NextCursor,
	}, err
}

// sessionsOf is the connections of a record that count, the newest first.
func sessionsOf(r *state.Record, now int64, socket string) []proto.Session {
	out := make([]proto.Session, 0, len(r.Conns))
	for i := range r.Conns {
		c := &r.Conns[i]
		is, counts := sessionState(c, now)
		if !counts {
			continue
		}
		out = append(out, proto.Session{
			ID: sessionID(c.PID), DeviceID: c.Device, Gateway: gatewayOf(c.Gateway), Status: c.Status,
			State: is, ConnectedAt: proto.At(time.UnixMilli(c.Since)), Current: socket != "" && c.Socket == socket,
		})
	}
	slices.SortFunc(out, func(a, b proto.Session) int {
		return cmp.Or(b.ConnectedAt.Compare(a.ConnectedAt.Time), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Frames, in bytes: what an answer has beside its sessions, and a session beside its texts.
const (
	sessionsFrame = 8 << 10 // what a user has set, too
	sessionFrame  = 192
)

// sessionsPage is a page of the connections of a record that count, as many as fit an
// answer. A cursor names the last of the page before: when it connected, and its id.
func (s *Service) sessionsPage(r *state.Record, now int64, socket, cursor string) (proto.SessionsRes, error) {
	all := sessionsOf(r, now, socket)
	if cursor != "" {
		ms, id, ok := strings.Cut(cursor, ".")
		at, err := strconv.ParseInt(ms, 10, 64)
		if err != nil || !ok {
			return proto.SessionsRes{}, &proto.Error{Code: proto.InvalidPayload, Field: "cursor", Message: "cursor must be nextCursor of an earlier page"}
		}
		n := 0
		for n < len(all) && (all[n].ConnectedAt.UnixMilli() > at || all[n].ConnectedAt.UnixMilli() == at && all[n].ID <= id) {
			n++
		}
		all = all[n:]
	}
	room := s.host.AnswerRoom()
	room.Fits(sessionsFrame)
	for i := range all {
		if !room.Fits(proto.EncodedLen(all[i].DeviceID) + proto.EncodedLen(all[i].Gateway) + sessionFrame) {
			last := &all[i-1]
			return proto.SessionsRes{Sessions: all[:i], NextCursor: strconv.FormatInt(last.ConnectedAt.UnixMilli(), 10) + "." + last.ID}, nil
		}
	}
	return proto.SessionsRes{Sessions: all}, nil
}

// sessionState is how a connection is there, if it counts.
func sessionState(c *state.Conn, now int64) (is string, counts bool) {
	switch {
	case c.Until != 0 && c.Until <= now:
		return "", false
	case c.Lost:
		return proto.SessionUnknown, true
	case c.Until != 0:
		return proto.SessionLeaving, true
	}
	return proto.SessionConnected, true
}

// sessionID names a session to those who must not be able to return as it.
func sessionID(pid string) string {
	sum := sha256.Sum256([]byte(pid))
	return hex.EncodeToString(sum[:8])
}

// gatewayOf is the instance in the name of a lease: it is followed by two parts of
// the gateway's own.
func gatewayOf(lease proto.Token) string {
	id, err := lease.ID()
	if err != nil {
		return string(lease)
	}
	for range 2 {
		if i := strings.LastIndexByte(id, '.'); i > 0 {
			id = id[:i]
		}
	}
	return id
}
