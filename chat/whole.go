package chat

import (
	"context"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// The roster in Redis is complete while its mark is there. Without the mark a part of the
// roster may be missing, so no answer is made from the rest.

// whole returns when the roster in Redis is complete. If the mark is missing, whole shuts
// the gate and waits for the rebuild.
func (s *Service) whole(ctx context.Context) error {
	switch _, whole, err := s.roster.Load().Mark(ctx); {
	case err != nil:
		return err
	case !whole:
		s.gate.close()
	}
	return s.gate.wait(ctx)
}

// restored shuts the gate, because a caller found the mark missing, and returns when the
// roster is complete again.
func (s *Service) restored(ctx context.Context) error {
	s.gate.close()
	return s.gate.wait(ctx)
}

// places reads a user's place in each of several chats from a complete roster.
func (s *Service) places(ctx context.Context, who caller, chats []proto.Token, records ...roster.DeviceRecord) ([]roster.Place, error) {
	for {
		places, whole, err := s.roster.Load().Places(ctx, who.user, who.device, chats, records...)
		if err != nil || whole {
			return places, err
		}
		if err := s.restored(ctx); err != nil {
			return nil, err
		}
	}
}

// wholeDevice reads the user's chats and the device from a complete roster.
func (s *Service) wholeDevice(ctx context.Context, who caller) (roster.Device, error) {
	for {
		d, err := s.roster.Load().Device(ctx, who.user, who.device)
		if err != nil || d.Whole {
			return d, err
		}
		if err := s.restored(ctx); err != nil {
			return roster.Device{}, err
		}
	}
}
