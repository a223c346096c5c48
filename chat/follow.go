package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

const (
	followBuffer = 1 << 16
	// lookEvery is how often the mark is looked at: how long a lost Redis can go
	// unnoticed where no request misses anything.
	lookEvery = time.Second
	// sweepEvery is how often the tail of the meta logs is read again: a live copy
	// may be lost between store and republish, and its chat may stay quiet.
	sweepEvery = 30 * time.Second
	restoreFor = 10 * time.Minute
	retryEvery = 250 * time.Millisecond
)

// follower keeps the roster up to the meta logs: each instance applies every
// change, so that none depends on the instance that made it.
type follower struct {
	*Service
	live  *eventlog.Follower
	swept uint64 // every change up to this position is applied
	dirty bool   // a change could not be applied; the next sweep will
	next  time.Time
}

// follow is Run's work after the streams are there.
func (s *Service) follow(ctx context.Context) error {
	live, err := s.log.Follow(proto.AllChatMeta, followBuffer)
	if err != nil {
		return err
	}
	defer live.Close()
	f := &follower{Service: s, live: live}
	for ctx.Err() == nil {
		if err := f.restore(ctx); err != nil {
			if ctx.Err() != nil {
				break
			}
			s.host.Log().Warn("working state is not whole; trying again", "error", err)
			pause(ctx, retryEvery)
			continue
		}
		s.gate.open()
		if err := f.run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// run applies live changes until the gate is shut: then the state must be restored.
func (f *follower) run(ctx context.Context) error {
	shut := f.gate.isShut()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-shut:
			return nil
		case <-look.C:
			f.look(ctx)
		case m, ok := <-f.live.C():
			if !ok {
				return errors.New("follow: subscription ended")
			}
			f.apply(ctx, f.live.Entry(m))
		}
	}
}

// apply applies one live change.
func (f *follower) apply(ctx context.Context, e eventlog.Entry) {
	change, err := changeOf(e)
	if err != nil {
		// Nobody can apply it: it is counted and passed over.
		f.host.Log().Error("change cannot be read", "position", e.Position, "error", err)
		return
	}
	f.remember(change)
	if err := f.applyOrHeal(ctx, change); err != nil {
		f.dirty = true
	}
}

// applyOrHeal applies a change, and those before it where the roster lacks them.
func (s *Service) applyOrHeal(ctx context.Context, change roster.Change) error {
	version, err := s.roster.Load().Apply(ctx, change)
	if err != nil || version >= change.Version {
		return err
	}
	return s.healMeta(ctx, change.Chat, 0)
}

// look is done every second: is the mark there, has anything been missed?
func (f *follower) look(ctx context.Context) {
	_, whole, err := f.roster.Load().Mark(ctx)
	if err != nil {
		return // Redis is away; the breaker says so
	}
	if epoch, _, err := f.log.Epoch(ctx); err == nil && epoch != *f.epoch.Load() {
		whole = false
	}
	if !whole {
		f.gate.close()
		return
	}
	if f.live.Interrupted() || f.dirty || time.Now().After(f.next) {
		if err := f.sweep(ctx, nil); err != nil {
			f.dirty = true
			return
		}
		if _, err := f.roster.Load().MoveMark(ctx, f.swept); err != nil {
			return
		}
	}
}

// sweep applies every change of every chat after f.swept; between pages it calls
// beat, if given.
func (f *follower) sweep(ctx context.Context, beat func() error) error {
	_, last, err := f.log.Epoch(ctx)
	if err != nil {
		return err
	}
	at := f.swept
	for {
		page, more, err := f.log.Range(ctx, proto.Events.Name, proto.ChatLog("*", proto.KindMeta), at+1, healPage, healBytes)
		if err != nil {
			return fmt.Errorf("sweep changes: %w", err)
		}
		for _, e := range page {
			at = e.Position
			change, err := changeOf(e)
			if err != nil {
				f.host.Log().Error("change cannot be read", "position", e.Position, "error", err)
				continue
			}
			f.remember(change)
			if err := f.applyOrHeal(ctx, change); err != nil {
				return err
			}
			if beat != nil {
				if err := beat(); err != nil {
					return err
				}
			}
		}
		if !more {
			break
		}
	}
	f.swept, f.dirty, f.next = max(at, last), false, time.Now().Add(sweepEvery)
	return nil
}
