package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"supmesh.dev/notify/decide"
	"supmesh.dev/notify/notices"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// withdraw has a user's devices, but the one given ("": none), take back what was pushed
// for notifications that are read or gone. What cannot be queued stays on the screen.
func (s *Service) withdraw(ctx context.Context, userID string, user proto.Token, except string, done *notices.Taken) {
	if len(done.Withdraw) == 0 {
		return
	}
	st, err := s.registry.Of(ctx, user)
	if err != nil {
		s.host.Log().WarnContext(ctx, "withdraw pushes", "error", err)
		return
	}
	now := s.host.Now()
	for i := range st.Devices {
		d := &st.Devices[i]
		if d.DeviceID == except || d.VoIP {
			continue
		}
		for _, key := range done.Withdraw {
			p := proto.Push{
				UserID: userID, DeviceID: d.DeviceID, Provider: d.Provider, NotificationID: withdrawalID(done.Position, key),
				Type: proto.NotifySystem, Priority: proto.PriorityNormal, Badge: done.Unread, CollapseKey: key, Withdraw: true,
				CreatedAt: proto.At(now), ExpiresAt: proto.At(now.Add(decide.WithdrawFor)), After: done.Position,
			}
			if err := s.queuePush(ctx, &p, decide.KeyOf(&p)); err != nil {
				s.host.Log().WarnContext(ctx, "withdraw pushes", "error", err)
				return
			}
		}
	}
}

// withdrawalID names the withdrawal of what is shown under one key, and says nothing of the key.
func withdrawalID(position uint64, collapseKey string) string {
	sum := sha256.Sum256([]byte(collapseKey))
	return "withdraw_" + strconv.FormatUint(position, 10) + "_" + hex.EncodeToString(sum[:8])
}

// queuePush gives a push to the workers, once under a key, however often it is called
// within the queue's window. From then on older ones under the collapse key are not
// sent any more.
func (s *Service) queuePush(ctx context.Context, p *proto.Push, key string) error {
	user, err := proto.EncodeID(p.UserID)
	if err != nil {
		return proto.FieldError("userId", err)
	}
	if err := s.registry.Pushed(ctx, user, p.CollapseKey, p.After, p.Withdraw); err != nil {
		s.host.Log().WarnContext(ctx, "queue push", "error", err) // reaching the user matters more
	}
	body, err := wire.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode push: %w", err)
	}
	return s.host.Enqueue(ctx, proto.PushJobs, key, body)
}
