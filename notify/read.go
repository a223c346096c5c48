package notify

import (
	"context"

	"supmesh.dev/notify/notices"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// read marks notifications as read: those named, or all there are.
func (s *Service) read(ctx context.Context, req proto.ReadNotificationsReq) (proto.UnreadRes, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return proto.UnreadRes{}, err
	}
	t := s.taking(&who, "read")
	t.IDs, t.All = req.IDs(), req.All
	done, err := s.notices.Read(ctx, &t)
	if err != nil {
		return proto.UnreadRes{}, unavailable(err)
	}
	s.withdraw(ctx, who.Actor.User, who.User, deviceOf(&who), &done)
	return proto.UnreadRes{UnreadCount: done.Unread}, nil
}

// clear removes one notification.
func (s *Service) clear(ctx context.Context, req proto.ClearNotificationReq) (proto.UnreadRes, error) {
	done, err := s.remove(ctx, func(t *notices.Taking) { t.IDs = []string{req.NotificationID} })
	return proto.UnreadRes{UnreadCount: done.Unread}, err
}

// clearAll removes what there is when the request arrives.
func (s *Service) clearAll(ctx context.Context, _ proto.ClearNotificationsReq) (proto.ClearNotificationsRes, error) {
	done, err := s.remove(ctx, func(t *notices.Taking) { t.All = true })
	return proto.ClearNotificationsRes{Cleared: len(done.IDs), UnreadCount: done.Unread}, err
}

func (s *Service) remove(ctx context.Context, which func(*notices.Taking)) (notices.Taken, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return notices.Taken{}, err
	}
	t := s.taking(&who, "clear")
	which(&t)
	done, err := s.notices.Clear(ctx, &t)
	if err != nil {
		return notices.Taken{}, unavailable(err)
	}
	s.withdraw(ctx, who.Actor.User, who.User, deviceOf(&who), &done)
	return done, nil
}

func (s *Service) taking(who *services.Caller, what string) notices.Taking {
	return notices.Taking{
		User: who.User, Now: s.host.Now(), Key: "notices:" + what + ":" + who.RequestID + ":" + string(who.User), Socket: who.Actor.Socket, Trace: who.Traceparent(),
	}
}
