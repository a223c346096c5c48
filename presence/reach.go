package presence

import (
	"context"
	"slices"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/relations"
	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// reach is on which sockets users are there, and whether one user may turn to them.
// A service asks: the answer has what clients must not know.
func (s *Service) reach(ctx context.Context, req proto.ReachReq) (proto.ReachRes, error) {
	if err := services.ServiceOnly(ctx); err != nil {
		return proto.ReachRes{}, err
	}
	users, err := tokens(req.UserIDs)
	if err != nil {
		return proto.ReachRes{}, proto.FieldError("userIds", err)
	}
	regards := make([]relations.Regard, len(users))
	if req.From != "" {
		from, err := proto.EncodeID(req.From)
		if err != nil {
			return proto.ReachRes{}, proto.FieldError("from", err)
		}
		if regards, err = s.relations.Between(ctx, from, users); err != nil {
			return proto.ReachRes{}, unavailable(err)
		}
	}
	records, err := s.load(ctx, users...)
	if err != nil {
		return proto.ReachRes{}, unavailable(err)
	}
	related := s.relatedTo(ctx, req.From, req.UserIDs, regards)
	var heard map[proto.Token]int64
	if req.From == "" {
		if heard, err = s.heard(ctx, records); err != nil {
			return proto.ReachRes{}, unavailable(err)
		}
	}
	res, now := proto.ReachRes{Users: make([]proto.Reach, len(users))}, s.now()
	each := s.host.AnswerRoom().Whole()/len(req.UserIDs) - reachFrame
	for i, id := range req.UserIDs {
		r, self := &records[i].Record, req.From == "" || req.From == id
		blocked := !self && regards[i].Blocked
		room := services.RoomOf(each - proto.EncodedLen(id))
		one := proto.Reach{UserID: id, Blocked: blocked, Related: related[i], Sockets: socketsOf(r, heard, now, room), Busy: isBusy(r, now)}
		if !blocked && (self || r.Effective(now) != proto.StatusOffline) {
			for _, c := range one.Sockets {
				one.Reachable = one.Reachable || c.State == proto.SessionConnected
			}
		}
		res.Users[i] = one
	}
	return res, nil
}

// isBusy says whether the user has said so, be any device there or not.
func isBusy(r *state.Record, now int64) bool {
	return r.Own.Status == proto.StatusBusy && (r.Own.Until == 0 || now < r.Own.Until)
}

// relatedTo says who shares a chat with a user or has them for a contact, and
// where everybody may see everybody, all. Blocks are not asked about: what follows
// from this answer must not tell of them. What chat cannot say is taken for true:
// that it is away must not keep people from each other.
func (s *Service) relatedTo(ctx context.Context, from string, ids []string, regards []relations.Regard) []bool {
	out := make([]bool, len(ids))
	var ask []string
	for i, id := range ids {
		switch {
		case from == "" || from == id:
			out[i] = true
		case s.cfg.Visibility == VisibleAll || regards[i].Contact:
			out[i] = true
		default:
			ask = append(ask, id)
		}
	}
	if len(ask) == 0 {
		return out
	}
	shared, err := s.sharing(ctx, from, ask)
	if err != nil {
		s.host.Log().WarnContext(ctx, "who shares a chat is not known: taken for true", "error", err)
	}
	for i, id := range ids {
		out[i] = out[i] || err != nil || shared[id]
	}
	return out
}

// heard returns when the gateways of connections were last heard of.
func (s *Service) heard(ctx context.Context, records []registry.Entry) (map[proto.Token]int64, error) {
	var gateways []proto.Token
	for i := range records {
		for k := range records[i].Conns {
			gateways = append(gateways, records[i].Conns[k].Gateway)
		}
	}
	slices.Sort(gateways)
	return s.leases.Heard(ctx, slices.Compact(gateways))
}

// Frames, in bytes: what an answer has of a user beside the id and sockets, with a share of
// its own, and of a socket beside its ids.
const (
	reachFrame  = 256
	socketFrame = len(`{"socketId":,"deviceId":,"state":"connected","seen":1000000000000000},`)
)

// socketsOf returns the connections of a record that count: those that are connected, newest
// first, then the others, as many as fit the user's part of the answer. heard is when their
// gateways were last heard of, where that is known.
func socketsOf(r *state.Record, heard map[proto.Token]int64, now int64, room *services.Room) []proto.ReachSocket {
	out := make([]proto.ReachSocket, 0, len(r.Conns))
	add := func(connected bool) {
		for i := range slices.Backward(r.Conns) {
			c := &r.Conns[i]
			is, ok := sessionState(c, now)
			if !ok || (is == proto.SessionConnected) != connected || !room.Fits(proto.EncodedLen(c.Socket)+proto.EncodedLen(c.Device)+socketFrame) {
				continue
			}
			one := proto.ReachSocket{SocketID: c.Socket, DeviceID: c.Device, State: is, Seen: c.Gone}
			if connected && heard[c.Gateway] > 0 {
				one.Seen = max(heard[c.Gateway], c.Since)
			}
			out = append(out, one)
		}
	}
	add(true)
	add(false)
	return out
}
