package follow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// unreachedPage is how many members one question to chat has.
	unreachedPage = 500
	// maxAsked is of how many users of one message presence is asked; in a larger
	// crowd nobody counts as busy, or blocked.
	maxAsked = 256
	// reachFor is how long presence may take: without it pushes go out all the same.
	reachFor = time.Second
)

// ring pushes a call to its callee, or takes that back. Signaling has looked at who
// may call whom.
func (d *Decider) ring(ctx context.Context, e *decide.Entry) error {
	prefs, err := d.prefs(ctx, e.Owner)
	if err != nil {
		return err
	}
	jobs, err := decide.OfRing(e, decide.User{ID: e.Owner, Prefs: prefs[0]}, d.host.Now())
	if err != nil {
		return malformed(err)
	}
	return d.enqueue(ctx, jobs)
}

// notice pushes a notification that is unread: at once where its user has no
// connection, and otherwise later, to the devices that have none.
func (d *Decider) notice(ctx context.Context, e *decide.Entry, atOnce bool) error {
	n, err := e.Notice()
	switch {
	case err != nil:
		return malformed(err)
	case n == nil:
		return nil
	}
	prefs, err := d.prefs(ctx, e.Owner)
	if err != nil || !prefs[0].May(n.Type, n.ChatID, d.host.Now()) {
		return err
	}
	users := []decide.User{{ID: e.Owner, Prefs: prefs[0]}}
	// Rules first: what makes no push needs no look at anybody.
	jobs := decide.OfNotice(e, n, users[0], d.host.Now())
	if len(jobs) == 0 {
		return nil
	}
	key := jobs[0].Push.CollapseKey
	if !atOnce { // the queue may not know any more that it was pushed at once
		if position, _, err := d.notify.Shown(ctx, e.Owner, key); err != nil || position >= e.Position {
			return err
		}
	}
	d.look(ctx, n.FromUserID, users)
	if atOnce && len(users[0].Connected) > 0 {
		return nil
	}
	if unread, err := d.notify.Unread(ctx, e.Owner, n.ID); err != nil || !unread {
		return err
	}
	if jobs = decide.OfNotice(e, n, users[0], d.host.Now()); len(jobs) == 0 {
		return nil
	}
	if err := d.enqueue(ctx, jobs); err != nil {
		return err
	}
	// Who read it before the push was noted has had nothing taken back.
	if unread, err := d.notify.Unread(ctx, e.Owner, n.ID); err != nil || unread {
		return err
	}
	return d.enqueue(ctx, decide.Withdraw(n.Type, key, n.ID, e, users[0], d.host.Now()))
}

// message pushes a message to the members of whom no device has confirmed it.
func (d *Decider) message(ctx context.Context, e *decide.Entry) error {
	sent, err := e.Message()
	switch {
	case err != nil:
		return malformed(err)
	case sent == nil || !d.host.Now().Before(e.Stored.Add(decide.Rules[proto.NotifyMessage].For)):
		return nil
	}
	m := &sent.Message
	answered, err := d.answered(ctx, e)
	if err != nil {
		return err
	}
	_, replied := decide.Named(m, answered)
	out := []string{m.SenderID, replied} // the one who said it, or told otherwise
	for after := ""; ; {
		res, err := services.Do(ctx, d.host, proto.UnreachedMembers, proto.Actor{}, proto.UnreachedReq{ChatID: m.ChatID, Seq: m.Seq, After: after, Limit: unreachedPage})
		switch {
		case hasCode(err, proto.ChatNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("ask who is not reached: %w", err)
		}
		if err := d.pushTo(ctx, e, sent, &res, out); err != nil {
			return err
		}
		if after = res.Next; after == "" {
			return nil
		}
	}
}

// pushTo pushes a message to one page of members.
func (d *Decider) pushTo(ctx context.Context, e *decide.Entry, sent *proto.NewMessage, page *proto.UnreachedRes, out []string) error {
	var ids []string
	unread := map[string]uint64{}
	for i, id := range page.UserIDs {
		if !slices.Contains(out, id) {
			ids = append(ids, id)
			unread[id] = page.Unread[i]
		}
	}
	if len(ids) == 0 {
		return nil
	}
	prefs, err := d.prefs(ctx, ids...)
	if err != nil {
		return err
	}
	now := d.host.Now()
	var users []decide.User
	for i, id := range ids {
		if prefs[i].May(proto.NotifyMessage, sent.Message.ChatID, now) {
			users = append(users, decide.User{ID: id, Prefs: prefs[i], Messages: unread[id]})
		}
	}
	if len(users) == 0 {
		return nil
	}
	mentioned, gone, err := d.asItIs(ctx, &sent.Message)
	if err != nil || gone {
		return err
	}
	users = slices.DeleteFunc(users, func(u decide.User) bool { return slices.Contains(mentioned, u.ID) }) // told otherwise
	if len(users) == 0 {
		return nil
	}
	d.look(ctx, sent.Message.SenderID, users)
	return d.enqueue(ctx, decide.OfMessage(e, sent, page.Name, users, now))
}

// asItIs is whom a message mentions by now, and whether it has been deleted.
func (d *Decider) asItIs(ctx context.Context, m *proto.Message) (mentioned []string, gone bool, err error) {
	found, err := services.Do(ctx, d.host, proto.FindMessage, proto.Actor{}, proto.FindMessageReq{UserID: m.SenderID, ChatID: m.ChatID, MessageID: m.ID})
	switch {
	case hasCode(err, proto.ChatNotFound): // its sender has left since
		return m.Mentions, false, nil
	case hasCode(err, proto.MessageNotFound):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("look for the message: %w", err)
	}
	return found.Mentions, found.Deleted, nil
}

func (d *Decider) prefs(ctx context.Context, users ...string) ([]decide.Prefs, error) {
	prefs, err := d.notify.Prefs(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read preferences: %w", err)
	}
	if len(prefs) != len(users) {
		return nil, fmt.Errorf("read preferences: %d for %d users", len(prefs), len(users))
	}
	return prefs, nil
}

// look adds what presence knows of users, as far as it answers.
func (d *Decider) look(ctx context.Context, from string, users []decide.User) {
	if len(users) > maxAsked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	for part := range slices.Chunk(users, proto.MaxReach) {
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].ID
		}
		res, err := services.Do(ctx, d.host, proto.ReachUsers, proto.Actor{}, proto.ReachReq{From: from, UserIDs: ids})
		if err != nil || len(res.Users) != len(part) {
			d.host.Log().WarnContext(ctx, "presence is not known: pushing as if nobody were there", "error", err)
			return
		}
		for i, r := range res.Users {
			part[i].Busy, part[i].Blocked = r.Busy, r.Blocked
			for _, s := range r.Sockets {
				if s.State == proto.SessionConnected {
					part[i].Connected = append(part[i].Connected, s.DeviceID)
				}
			}
		}
	}
}
