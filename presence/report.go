package presence

import (
	"context"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/presence/viewing"
	"supmesh.dev/proto"
)

// report notes what a gateway tells of its connections.
func (s *Service) report(ctx context.Context, req proto.ReportReq) (res proto.ReportRes, err error) {
	names, err := tokens([]string{req.Gateway, req.Inbox})
	if err != nil {
		return res, err
	}
	if err = s.closed(ctx, req.Closed); err == nil {
		err = s.opened(ctx, names[0], names[1], &req, &res)
	}
	if err == nil {
		err = s.viewed(ctx, &req, req.Ended, false)
	}
	if err == nil {
		err = s.viewed(ctx, &req, req.Began, true)
	}
	if err == nil {
		err = s.watched(ctx, req.Seq, req.Unwatched, true)
	}
	if err == nil {
		err = s.watched(ctx, req.Seq, req.Watched, false)
	}
	return res, unavailable(err)
}

// closed ends connections. What they had open they keep for the grace.
func (s *Service) closed(ctx context.Context, all []proto.Closed) error {
	of := make(map[proto.Token][]*proto.Closed, len(all))
	users, err := byUser(all, func(c *proto.Closed) string { return c.UserID }, of)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, users, func(e *registry.Entry, now int64) error {
		for _, c := range of[e.User] {
			e.Close(c.PID, c.Fence, c.At.UnixMilli(), c.Final, now, s.grace())
		}
		return nil
	})
	return err
}

// opened notes connections that are there: after the registry was lost, or where it
// could not be told at once.
func (s *Service) opened(ctx context.Context, gateway, inbox proto.Token, req *proto.ReportReq, res *proto.ReportRes) error {
	if len(req.Opened) == 0 {
		return nil
	}
	of := make(map[proto.Token][]*proto.Opened, len(req.Opened))
	users, err := byUser(req.Opened, func(o *proto.Opened) string { return o.UserID }, of)
	if err != nil {
		return err
	}
	var names []registry.Of
	var each []*proto.Opened
	for _, user := range users {
		for _, o := range of[user] {
			name, ok := s.of(user, o.PID)
			if !ok {
				continue
			}
			names, each = append(names, name), append(each, o)
		}
	}
	if err := s.records.List(ctx, gateway, names...); err != nil {
		return err
	}
	known := make(map[*proto.Opened]uint64, len(each))
	readSessions := func(ctx context.Context, _ []registry.Entry) error {
		sessions, err := s.records.Sessions(ctx, names...)
		if err != nil {
			return err
		}
		for i, o := range each {
			known[o] = sessions[i].Fence
			if sessions[i].Closed {
				known[o]++ // nothing revives it but a return
			}
		}
		return nil
	}
	fences := make(map[*proto.Opened]uint64, len(each))
	out, err := s.changeAfter(ctx, users, "", readSessions, func(e *registry.Entry, now int64) error {
		for _, o := range of[e.User] {
			fence, ok := e.Announce(state.Conn{
				PID: o.PID, Fence: o.Fence, Gateway: gateway, Inbox: inbox, Socket: o.SocketID, Device: o.DeviceID,
				Status: o.Status, Since: o.Since.UnixMilli(), Seq: req.Seq,
			}, known[o], now)
			if !ok {
				fence = 0
			}
			fences[o] = fence
		}
		return nil
	})
	if err != nil {
		return err
	}
	var begun []registry.Begin
	for i, o := range each {
		fence := fences[o]
		if fence == 0 {
			res.Superseded = append(res.Superseded, o.PID)
			continue
		}
		begun = append(begun, registry.Begin{Of: names[i], Gateway: gateway, Fence: fence, Device: o.DeviceID, Since: o.Since.UnixMilli(), Socket: o.SocketID})
		if o.Fence == 0 {
			res.Fences = append(res.Fences, proto.Fenced{PID: o.PID, Fence: fence, Own: out[names[i].User].OwnPresence()})
		}
	}
	_, err = s.records.BeginSessions(ctx, begun...)
	return err
}

// viewed notes that connections have chats open, or no more. The first and the last
// viewing session of a user are told to the others who view.
func (s *Service) viewed(ctx context.Context, req *proto.ReportReq, all []proto.View, began bool) error {
	notes := make([]registry.Note, 0, len(all))
	viewers := make([]viewing.Viewer, 0, len(all))
	for i := range all {
		v := &all[i]
		names, err := tokens([]string{v.ChatID, v.UserID, v.PID})
		if err != nil {
			return err
		}
		notes = append(notes, registry.Note{
			Of: registry.Of{User: names[1], PID: names[2]}, Fence: v.Fence, Seq: req.Seq, Ended: !began, Views: names[:1],
		})
		viewers = append(viewers, viewing.Viewer{Chat: names[0], User: names[1], PID: names[2]})
	}
	done, err := s.records.Note(ctx, notes...)
	if err != nil {
		return err
	}
	n := 0
	for i := range viewers {
		if done[i] {
			viewers[n] = viewers[i]
			n++
		}
	}
	viewers = viewers[:n]
	note := s.views.Ended
	if began {
		note = s.views.Began
	}
	turned, err := note(ctx, viewers...)
	if err == nil && !req.Quiet {
		err = s.tellTurned(ctx, viewers, turned, began)
	}
	if err != nil {
		return err
	}
	return s.confirmViews(ctx, viewers, began, req.Quiet)
}

// confirmViews compares what was just written of viewers with their sessions, which come
// first and count. A request that was held up and has been repeated meanwhile may write
// what is not so any more: then it is put right.
func (s *Service) confirmViews(ctx context.Context, viewers []viewing.Viewer, viewing, quiet bool) error {
	for range maxRounds {
		of, chats := make([]registry.Of, len(viewers)), make([]proto.Token, len(viewers))
		for i, v := range viewers {
			of[i], chats[i] = registry.Of{User: v.User, PID: v.PID}, v.Chat
		}
		has, err := s.records.Viewing(ctx, of, chats)
		if err != nil {
			return err
		}
		wrong := viewers[:0:0]
		for i, v := range viewers {
			if has[i] != viewing {
				wrong = append(wrong, v)
			}
		}
		if len(wrong) == 0 {
			return nil
		}
		viewers, viewing = wrong, !viewing
		note := s.views.Ended
		if viewing {
			note = s.views.Began
		}
		turned, err := note(ctx, viewers...)
		if err == nil && !quiet {
			err = s.tellTurned(ctx, viewers, turned, viewing)
		}
		if err != nil {
			return err
		}
	}
	return errContended
}

// watched notes whose presence connections have subscribed, or no more.
func (s *Service) watched(ctx context.Context, seq uint64, all []proto.Watch, ended bool) error {
	notes := make([]registry.Note, 0, len(all))
	for i := range all {
		w := &all[i]
		names, err := tokens([]string{w.UserID, w.PID})
		if err != nil {
			return err
		}
		users, err := tokens(w.UserIDs)
		if err != nil {
			return err
		}
		notes = append(notes, registry.Note{Of: registry.Of{User: names[0], PID: names[1]}, Fence: w.Fence, Seq: seq, Ended: ended, Watches: users})
	}
	_, err := s.records.Note(ctx, notes...)
	return err
}

// byUser sorts reports by their user, in order, and names the users.
func byUser[T any](all []T, user func(*T) string, of map[proto.Token][]*T) (users []proto.Token, err error) {
	for i := range all {
		token, err := proto.EncodeID(user(&all[i]))
		if err != nil {
			return nil, err
		}
		if of[token] == nil {
			users = append(users, token)
		}
		of[token] = append(of[token], &all[i])
	}
	return users, nil
}
