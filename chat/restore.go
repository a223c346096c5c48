package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// lockFor is how long the rebuild's lock outlives an instance that died with it.
const lockFor = 10 * time.Second

// errLockLost ends a rebuild whose lock is gone: Redis may have lost what was written
// under it.
var errLockLost = errors.New("rebuild: the lock is lost")

// restore brings the working state up to the log: what came after the mark, or
// all of it where there is no mark. One instance rebuilds, the others wait. A
// chat's messages are not read here: its first reader heals its index.
func (f *follower) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restoreFor)
	defer cancel()
	epoch, _, err := f.log.Epoch(ctx)
	if err != nil {
		return err
	}
	if old := f.epoch.Load(); old == nil || *old != epoch {
		// Another log: positions remembered mean nothing any more.
		f.chats.clear()
		f.receipts.clear()
		f.said.clear()
		f.roster.Store(roster.New(f.host.Redis(), epoch))
		f.epoch.Store(&epoch)
	}
	r := f.roster.Load()
	for {
		mark, whole, err := r.Mark(ctx)
		if err != nil {
			return err
		}
		if whole {
			f.swept = mark
			return f.sweep(ctx, nil)
		}
		holder := f.host.InstanceID()
		mine, err := r.Lock(ctx, holder, lockFor)
		if err != nil {
			return err
		}
		if mine {
			return errors.Join(f.rebuild(ctx, r, holder), r.Unlock(ctx, holder))
		}
		if !pause(ctx, retryEvery) {
			return context.DeadlineExceeded
		}
	}
}

// renewal returns a function that renews the rebuild's lock if a quarter of its time is over.
// The function may be called often and at once; its error ends the rebuild.
func renewal(ctx context.Context, r *roster.Store, holder string) func() error {
	var mu sync.Mutex
	renewed := time.Now()
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(renewed) < lockFor/4 {
			return nil
		}
		mine, err := r.Extend(ctx, holder, lockFor)
		if err == nil && !mine {
			err = errLockLost
		}
		renewed = time.Now()
		return err
	}
}

// rebuild makes the roster from nothing: cursors and devices from RECEIPTS,
// chats and members from the meta logs, then the mark.
func (f *follower) rebuild(ctx context.Context, r *roster.Store, holder string) error {
	if _, whole, err := r.Mark(ctx); err != nil || whole { // another was quicker
		return err
	}
	start := time.Now()
	count(f.metrics.rebuilds, 1)
	f.host.Log().Info("rebuilding working state from the log")
	beat := renewal(ctx, r, holder)
	if err := r.Wipe(ctx, beat); err != nil {
		return err
	}
	if err := f.restoreReceipts(ctx, r, beat); err != nil {
		return err
	}
	f.swept = 0
	if err := f.sweep(ctx, beat); err != nil {
		return err
	}
	switch mine, err := r.SetMark(ctx, holder, f.swept); {
	case err != nil:
		return err
	case !mine:
		return errLockLost
	}
	f.host.Log().Info("working state rebuilt", "position", f.swept, "took", time.Since(start))
	return nil
}

// restoreReceipts reads all of RECEIPTS: one entry a (chat, user) or device.
func (f *follower) restoreReceipts(ctx context.Context, r *roster.Store, beat func() error) error {
	var at uint64
	for {
		page, more, err := f.log.Range(ctx, proto.Receipts.Name, "rc.>", at+1, healPage, healBytes)
		if err != nil {
			return fmt.Errorf("restore receipts: %w", err)
		}
		var cursors []roster.Cursor
		var devices []roster.DeviceRecord
		for _, e := range page {
			at = e.Position
			if strings.HasPrefix(e.Subject, proto.CanaryLog("")) {
				continue
			}
			c, d, err := receiptOf(e)
			if err != nil {
				f.host.Log().Error("receipt cannot be read", "position", e.Position, "error", err)
				continue
			}
			cursors, devices = append(cursors, c...), append(devices, d...)
		}
		if err := r.Advance(ctx, cursors); err != nil {
			return err
		}
		if len(devices) > 0 {
			if err := r.SetDevices(ctx, devices...); err != nil {
				return err
			}
		}
		if err := beat(); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// receiptOf reads one entry of RECEIPTS back into what it says: nothing, if the entry is of
// another service.
func receiptOf(e eventlog.Entry) (cursors []roster.Cursor, devices []roster.DeviceRecord, err error) {
	parts := strings.Split(e.Subject, ".")
	if len(parts) != 4 {
		return nil, nil, nil
	}
	switch a, b := proto.Token(parts[2]), proto.Token(parts[3]); parts[1] {
	case "chat":
		var body receiptBody
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return nil, nil, err
		}
		for device, seq := range body.Devices {
			cursors = append(cursors, roster.Cursor{Chat: a, User: b, Device: proto.Token(device), Seq: seq})
		}
		if body.Read > 0 {
			cursors = append(cursors, roster.Cursor{Chat: a, User: b, Seq: body.Read})
		}
		return cursors, nil, nil
	case "device":
		var body deviceBody
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return nil, nil, err
		}
		return nil, []roster.DeviceRecord{{User: a, Device: b, Position: body.Position}}, nil
	}
	return nil, nil, nil
}
