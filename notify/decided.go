package notify

import (
	"context"
	"fmt"
	"time"

	"supmesh.dev/notify/decide"
	"supmesh.dev/notify/notices"
	"supmesh.dev/proto"
)

// decided is the service for who follows the log: what is decided there is done here.
type decided struct{ s *Service }

// Notify stores what is notified.
func (d decided) Notify(ctx context.Context, req *proto.NotifyReq) error {
	if err := req.Validate(); err != nil {
		return err
	}
	_, err := d.s.notify(ctx, req)
	return err
}

// Clear removes notifications about a message, and takes their pushes back.
func (d decided) Clear(ctx context.Context, user, messageID string, t proto.NotificationType, key string) error {
	token, err := proto.EncodeID(user)
	if err != nil {
		return proto.FieldError("userId", err)
	}
	done, err := d.s.notices.Clear(ctx, &notices.Taking{User: token, About: messageID, Type: t, Now: d.s.host.Now(), Key: "notices:clear:" + key + ":" + string(token)})
	if err != nil {
		return err
	}
	d.s.withdraw(ctx, user, token, "", &done)
	return nil
}

// Enqueue queues a push.
func (d decided) Enqueue(ctx context.Context, push *proto.Push, key string) error {
	return d.s.queuePush(ctx, push, key)
}

// Prefs is what users have set. Who has no device is asked nothing more about.
func (d decided) Prefs(ctx context.Context, users []string) ([]decide.Prefs, error) {
	out := make([]decide.Prefs, len(users))
	for i, id := range users {
		user, err := proto.EncodeID(id)
		if err != nil {
			return nil, proto.FieldError("userId", err)
		}
		st, err := d.s.registry.Of(ctx, user)
		if err != nil {
			return nil, fmt.Errorf("preferences of %s: %w", user, err)
		}
		p := &out[i]
		if p.Muted = st.Muted; st.DNDUntil != nil {
			p.QuietUntil = st.DNDUntil.Time
		}
		for j := range st.Devices {
			p.Devices = append(p.Devices, decide.Device{ID: st.Devices[j].DeviceID, Provider: st.Devices[j].Provider, VoIP: st.Devices[j].VoIP})
		}
		if len(p.Devices) == 0 {
			continue
		}
		if p.Unread, err = d.s.notices.Unread(ctx, user, d.s.host.Now()); err != nil {
			return nil, fmt.Errorf("unread notifications of %s: %w", user, err)
		}
	}
	return out, nil
}

// Unread says whether a user's notification is there and not read.
func (d decided) Unread(ctx context.Context, user, id string) (bool, error) {
	token, err := proto.EncodeID(user)
	if err != nil {
		return false, proto.FieldError("userId", err)
	}
	return d.s.notices.IsUnread(ctx, token, id, d.s.host.Now())
}

// Shown is the newest push under a collapse key.
func (d decided) Shown(ctx context.Context, user, collapseKey string) (position uint64, withdrawn bool, err error) {
	token, err := proto.EncodeID(user)
	if err != nil {
		return 0, false, proto.FieldError("userId", err)
	}
	return d.s.registry.Shown(ctx, token, collapseKey)
}

// MessageAt reads the log.
func (d decided) MessageAt(ctx context.Context, position uint64) (*proto.NewMessage, error) {
	at, ok, err := d.s.registry.At(ctx, position)
	if err != nil || !ok {
		return nil, err
	}
	e, err := decide.EntryOf(at.Subject, at.Event, at.Position, time.Time{}, at.Body)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // a call's, say: no message
	}
	return e.Message()
}
