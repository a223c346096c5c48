package notify

import (
	"context"

	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// preferences changes what is not to disturb the user, where the request says so,
// and tells how it is.
func (s *Service) preferences(ctx context.Context, req proto.NotifyPrefsReq) (proto.NotifyPrefsRes, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return proto.NotifyPrefsRes{}, err
	}
	now := s.host.Now()
	st, err := s.registry.Change(ctx, who.User, who.Traceparent(), func(st *registry.State) (changed bool, err error) {
		st.At(now)
		if req.Mute != nil {
			changed = true
			if st.SetMute(req.Mute, now) {
				return false, proto.Errorf(proto.SubscriptionLimit, "at most %d muted chats", proto.MaxMutes)
			}
		}
		if until := req.DoNotDisturbUntil; until != nil {
			changed = true
			st.DNDUntil = until
			st.At(now)
		}
		return changed, nil
	})
	if err != nil {
		return proto.NotifyPrefsRes{}, unavailable(err)
	}
	res := proto.NotifyPrefsRes{Muted: []proto.Mute{}, DoNotDisturbUntil: st.DNDUntil}
	res.Muted = append(res.Muted, st.Muted...)
	return res, nil
}
