package notify

import (
	"context"
	"fmt"

	"supmesh.dev/notify/decide"
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

// Enqueue queues a push.
func (d decided) Enqueue(ctx context.Context, push *proto.Push, key string) error {
	return d.s.queuePushAs(ctx, push, key)
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
