package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/notify/decide"
	"supmesh.dev/notify/notices"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// send is a backend's notification. Without a key of its own the request's
// Idempotency-Key is it, or else the request itself.
func (s *Service) send(ctx context.Context, req proto.NotifyReq) (proto.NotifyRes, error) {
	if err := services.BackendOnly(ctx); err != nil {
		return proto.NotifyRes{}, err
	}
	call, _ := services.CallFrom(ctx)
	// Each kind has keys of its own, and none has those of services.
	switch {
	case req.Key != "":
		req.Key = "backend:key:" + req.Key
	case call.IdempotencyKey != "":
		req.Key = "backend:idempotency:" + call.IdempotencyKey
	default:
		req.Key = "backend:request:" + call.RequestID
	}
	ids, err := s.notify(ctx, &req)
	return proto.NotifyRes{NotificationIDs: ids}, unavailable(err)
}

// notify stores a notification for each of the users and gives the ids in their
// order. The same key again gives the same ids, also after a failure half-way. The
// request must be valid and have a key.
func (s *Service) notify(ctx context.Context, req *proto.NotifyReq) ([]string, error) {
	if req.Key == "" {
		return nil, errors.New("notify: a key is required")
	}
	trace := ""
	if call, ok := services.CallFrom(ctx); ok {
		trace = call.Traceparent()
	}
	ids := make([]string, len(req.UserIDs))
	for i, id := range req.UserIDs {
		user, err := proto.EncodeID(id)
		if err != nil {
			return nil, proto.FieldError(fmt.Sprintf("userIds[%d]", i), err)
		}
		if ids[i], err = s.notifyUser(ctx, user, req, trace); err != nil {
			return nil, fmt.Errorf("notify user %d of %d: %w", i+1, len(ids), err)
		}
	}
	return ids, nil
}

func (s *Service) notifyUser(ctx context.Context, user proto.Token, req *proto.NotifyReq, trace string) (string, error) {
	giveBack, err := s.turns.take(ctx, user)
	if err != nil {
		return "", err
	}
	defer giveBack()
	ttl := time.Duration(proto.ValueOr(req.TTLSec, int(notices.DefaultTTL.Seconds()))) * time.Second
	added, err := s.notices.Add(ctx, &notices.Adding{User: user, Key: req.Key, TTL: ttl, Trace: trace, Notification: s.notificationOf(req)})
	return added.ID, err
}

func (s *Service) notificationOf(req *proto.NotifyReq) proto.Notification {
	n := proto.Notification{
		Type: req.Type, Title: req.Title, Message: req.Message, FromUserID: req.FromUserID, ChatID: req.ChatID, MessageID: req.MessageID,
		Priority: req.Priority, CollapseKey: req.CollapseKey, Timestamp: proto.At(s.host.Now()),
	}
	if string(req.Data) != "null" {
		n.Data = req.Data
	}
	if n.Priority == "" {
		n.Priority = priorityOf(req.Type)
	}
	n.Sound = !req.Silent && n.Priority != proto.PriorityLow
	if n.CollapseKey == "" && n.ChatID != "" {
		n.CollapseKey = decide.ChatCollapse(n.ChatID)
	}
	return n
}

// priorityOf is how urgent a type is that does not say.
func priorityOf(t proto.NotificationType) string {
	switch t {
	case proto.NotifyCall, proto.NotifyCallMissed, proto.NotifyMention:
		return proto.PriorityHigh
	case proto.NotifyReaction, proto.NotifyChatUpdated:
		return proto.PriorityLow
	case proto.NotifyReply, proto.NotifyInvite, proto.NotifySystem, proto.NotifyMessage:
	}
	return proto.PriorityNormal
}
