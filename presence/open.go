package presence

import (
	"context"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/presence/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// open notes a connection before its client is greeted. A session that returns goes
// on: what it had open moves along, and the connection it still has is closed. A repeat
// for the same session and socket gets the fence that the first try got, and changes
// nothing: a connection that has ended, or has gone on elsewhere, stays so.
func (s *Service) open(ctx context.Context, req proto.OpenSessionReq) (proto.OpenSessionRes, error) {
	res, err := s.openSession(ctx, &req)
	return res, unavailable(err)
}

func (s *Service) openSession(ctx context.Context, req *proto.OpenSessionReq) (res proto.OpenSessionRes, err error) {
	who, err := callerOf(ctx)
	if err != nil {
		return res, err
	}
	names, err := tokens([]string{req.Gateway, req.Inbox, req.PID})
	if err != nil {
		return res, err
	}
	gateway, inbox := names[0], names[1]
	mine := registry.Of{User: who.user, PID: names[2]}
	old, was, err := s.returning(ctx, who, req.Returns)
	if err != nil {
		return res, err
	}
	res.Returned = was.Fence > 0
	oldPID := ""
	if res.Returned {
		if oldPID, err = old.PID.ID(); err != nil {
			return res, err
		}
	}
	if err := s.records.List(ctx, gateway, mine); err != nil {
		return res, err
	}
	var before state.Conn // the session's last connection
	var had bool
	var known []registry.Session // the session that is opened
	var ended bool               // an earlier try has opened it, and it has ended since
	readSession := func(ctx context.Context, _ []registry.Entry) (err error) {
		known, err = s.records.Sessions(ctx, mine)
		return err
	}
	out, err := s.changeAfter(ctx, []proto.Token{who.user}, who.Socket, readSession, func(e *registry.Entry, now int64) error {
		status := proto.StatusOnline
		had, ended = false, false
		if c, ok := e.Conn(req.PID); ok && c.Socket == who.Socket { // a repeat, or the try that it repeats
			res.Status, res.Fence = c.Status, c.Fence
			return nil
		}
		if ended = known[0].OpenedBy(who.Socket); ended {
			res.Status, res.Fence = status, known[0].FenceOf(who.Socket)
			return nil
		}
		if res.Returned {
			if before, had = e.Take(oldPID); had {
				status = before.Status
			}
		}
		e.Fence = max(e.Fence, was.Fence)
		res.Status = status
		res.Fence = e.Open(state.Conn{
			PID: req.PID, Gateway: gateway, Inbox: inbox, Socket: who.Socket, Device: who.Device, Status: status, Since: now,
		}, now)
		res.Elsewhere = e.Elsewhere(inbox)
		return nil
	})
	if err != nil {
		return res, err
	}
	res.Own = out[who.user].OwnPresence()
	if res.Returned {
		res.Was = continued(&was, &before, who.Socket)
	}
	if ended {
		return res, s.records.Unlist(ctx, gateway, mine)
	}
	begun, err := s.records.BeginSessions(ctx, registry.Begin{
		Of: mine, Gateway: gateway, Fence: res.Fence, Device: who.Device, Since: s.now(), Socket: who.Socket,
		Session: registry.Session{Was: res.Was, Views: was.Views, Watches: was.Watches},
	})
	if err != nil || !res.Returned {
		return res, err
	}
	if begun[0] == registry.BeginRefused {
		return res, s.records.Unlist(ctx, gateway, mine)
	}
	if had && before.Until == 0 && before.Socket != who.Socket { // else this is said again
		s.takeOver(ctx, who.User, &before)
	}
	if old != mine {
		if err := s.move(ctx, old, mine, was, res.Fence); err != nil {
			return res, err
		}
	}
	if had && (old != mine || before.Gateway != gateway) {
		if err := s.records.Unlist(ctx, before.Gateway, old); err != nil {
			return res, err
		}
	}
	room := s.host.AnswerRoom()
	room.Fits(listFrame)
	watches, allWatches, err := fitting(room, was.Watches)
	if err != nil {
		return res, err
	}
	views, allViews, err := fitting(room, was.Views)
	res.Watches, res.Views = watches, views
	if !allWatches || !allViews {
		s.host.Log().WarnContext(ctx, "a session that returns had more open and subscribed than one answer holds",
			"views", len(was.Views), "subscriptions", len(was.Watches), "left out", len(was.Views)-len(views)+len(was.Watches)-len(watches))
	}
	return res, err
}

// continued is the socket of the connection that a socket continues: the session's
// last, also long after that has ended. Where the same is said again, what was
// answered then. Empty if nobody knows.
func continued(was *registry.Session, before *state.Conn, socket string) string {
	switch {
	case was.Socket == socket:
		return was.Was
	case was.Socket != "":
		return was.Socket
	case before.Socket != socket:
		return before.Socket
	}
	return ""
}

// maxMoves bounds how far a session is followed that has gone on under other names
// of which its client has not heard.
const maxMoves = 8

// returning is the session that returns, if it is this user's and device's.
func (s *Service) returning(ctx context.Context, who caller, pid string) (old registry.Of, was registry.Session, err error) {
	old, ok := s.of(who.user, pid)
	if pid == "" || !ok {
		return old, was, nil
	}
	for range maxMoves {
		known, err := s.records.Sessions(ctx, old)
		if err != nil {
			return old, was, err
		}
		switch {
		case known[0].Device != who.Device:
			return old, was, nil
		case known[0].Moved == "":
			return old, known[0], nil
		}
		old.PID = known[0].Moved
	}
	return old, was, nil
}

// move has a session go on under another name; nobody sees it leave or come.
func (s *Service) move(ctx context.Context, from, to registry.Of, had registry.Session, fence uint64) error {
	began := make([]viewing.Viewer, len(had.Views))
	ended := make([]viewing.Viewer, len(had.Views))
	for i, chat := range had.Views {
		began[i] = viewing.Viewer{Chat: chat, User: to.User, PID: to.PID}
		ended[i] = viewing.Viewer{Chat: chat, User: from.User, PID: from.PID}
	}
	first, err := s.views.Began(ctx, began...)
	if err != nil {
		return err
	}
	if _, err := s.views.Ended(ctx, ended...); err != nil {
		return err
	}
	if err := s.tellTurned(ctx, began, first, true); err != nil { // of those that it had left already
		return err
	}
	if err := s.confirmViews(ctx, began, true, false); err != nil {
		return err
	}
	return s.records.Move(ctx, from, to, fence, had.Device)
}

// takeOver asks the gateway of a connection that another continues to close it.
func (s *Service) takeOver(ctx context.Context, user string, c *state.Conn) {
	body, err := wire.Marshal(proto.Takeover{UserID: user, SocketID: c.Socket, PID: c.PID, Fence: c.Fence})
	if err == nil {
		err = s.host.PublishEphemeral(proto.GatewayInbox(c.Inbox, proto.TakeoverEvent), proto.TakeoverEvent, services.Except{}, body)
	}
	if err != nil {
		s.host.Log().WarnContext(ctx, "take over", "error", err)
	}
	s.metrics.takeovers.Add(ctx, 1)
}
