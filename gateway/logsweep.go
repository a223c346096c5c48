package gateway

import (
	"context"
	"slices"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog"
)

// logSweep compares what the log has stored with what has passed here. A live copy may be lost
// between store and republish, when a leader dies, and in a chat that then goes quiet no later
// copy shows the hole.
type logSweep struct {
	started bool
	busy    uint64 // entries stored for each topic here beyond which the topics are looked at instead
	swept   uint64 // position up to which everything has been compared
	head    uint64 // of the log, one period ago: copies up to there have had time to come
}

// sweepLog begins a sweep, before the first connection is made, and gives the loop that
// compares every SweepEvery until ctx ends. A copy that is lost is found within two periods.
func (svc *Service) sweepLog(ctx context.Context) (run func(context.Context) error) {
	w := &logSweep{busy: busyLog}
	look := func(ctx context.Context) {
		if err := w.once(ctx, svc); err != nil && ctx.Err() == nil {
			svc.host.Log().Warn("compare with the log", "error", err)
		}
	}
	look(ctx)
	return func(ctx context.Context) error {
		tick := time.NewTicker(svc.cfg.SweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				look(ctx)
			}
		}
	}
}

// busyLog is from how many entries a topic on the newest entries of the topics here are cheaper to
// read than everything that was stored: an entry costs NATS 13 µs, a topic several times that.
const busyLog = 4

// once compares what the log stored since the last time, as far as its copies have had a period to
// come. It costs one request when nothing was stored, and otherwise no more than a few entries for
// each topic here. After an error the same part is compared again.
func (w *logSweep) once(ctx context.Context, svc *Service) error {
	epoch, head, err := svc.store.log.Epoch(ctx)
	if err != nil {
		return err
	}
	if sealer := svc.sealer.Load(); !w.started || sealer == nil || sealer.epoch != epoch || svc.hub.empty() {
		w.started, w.swept, w.head = true, head, head
		return nil // a connection that is made from here on reads what it needs
	}
	upTo := min(w.head, head)
	w.head = head
	if stored := upTo - min(w.swept, upTo); stored > w.busy*uint64(svc.hub.size()) {
		if last, ok, err := svc.store.log.At(ctx, upTo); err != nil || ok {
			if err != nil {
				return err
			}
			return w.topics(ctx, svc, &last)
		}
	}
	return w.pages(ctx, svc, upTo)
}

// topics compares the newest entries of the topics here that have changed, and every change of
// members. A hole before a newest entry shows with the copy of that one.
func (w *logSweep) topics(ctx context.Context, svc *Service, last *eventlog.Entry) error {
	for from := w.swept + 1; from <= last.Position; {
		page, more, err := svc.store.log.Page(ctx, eventlog.Query{
			Stream: proto.Events.Name, Subject: proto.AllChatMetaLog, From: from, Limit: sweepPage, MaxBytes: readBytes,
		})
		if err != nil {
			return err
		}
		svc.compareUpTo(page, last.Position)
		if !more {
			break
		}
		from = page[len(page)-1].Position + 1
	}
	changed, err := svc.store.log.Changed(ctx, svc.hub.patterns(), w.swept, last)
	if err != nil {
		return err
	}
	svc.compareUpTo(changed, last.Position)
	w.swept = last.Position
	return nil
}

// compareUpTo compares entries whose copies have had a period to come.
func (svc *Service) compareUpTo(entries []eventlog.Entry, position uint64) {
	for i := range entries {
		if entries[i].Position <= position {
			svc.compare(&entries[i])
		}
	}
	svc.metrics.swept.Add(svc.ctx, int64(len(entries)))
}

// pages compares everything that was stored up to a position.
func (w *logSweep) pages(ctx context.Context, svc *Service, upTo uint64) error {
	for w.swept < upTo && ctx.Err() == nil {
		page, more, err := svc.store.log.Page(ctx, eventlog.Query{
			Stream: proto.Events.Name, From: w.swept + 1, Known: upTo, ToKnown: true, Limit: sweepPage, MaxBytes: readBytes,
		})
		if err != nil {
			return err
		}
		for i := range page {
			svc.compare(&page[i])
			w.swept = page[i].Position
		}
		svc.metrics.swept.Add(ctx, int64(len(page)))
		if !more {
			w.swept = max(w.swept, upTo)
		}
	}
	return nil
}

// sweepPage is how many entries one read of a sweep brings.
const sweepPage = 1000

// compare has a topic's log read if an entry of it has not passed.
func (svc *Service) compare(e *eventlog.Entry) {
	var t *topic
	kind := kindOther
	if user, k, err := proto.ParseUserSubject(e.Subject); err == nil {
		t = svc.hub.user(user)
		kind, _ = kindOfUser(k)
	} else if chat, k, err := proto.ParseChatSubject(e.Subject); err == nil {
		if t, kind = svc.hub.chat(chat), kindOf(k); t == nil && kind == kindMeta {
			svc.compareMembers(chat, e)
		}
	}
	if t == nil || kind == kindOther {
		return
	}
	t.mu.Lock()
	missing := e.Position > t.tracks[kind].Last() && t.tracks[kind].Suspect(e.Position)
	t.mu.Unlock()
	if missing {
		svc.metrics.lost.Add(svc.ctx, 1)
		svc.repairs.push(t)
	}
}

// compareMembers passes a change of a chat that is not hosted here, if it makes a user who is here a
// member. What has passed before changes nothing.
func (svc *Service) compareMembers(chat proto.Token, e *eventlog.Entry) {
	change := &entry{subject: e.Subject, event: e.Event, position: e.Position, socket: e.Socket, body: e.Body}
	c, err := membershipOf(change)
	if err != nil { // the live copy was logged
		return
	}
	if slices.ContainsFunc(c.added, func(user proto.Token) bool { return svc.hub.user(user) != nil }) {
		svc.passMeta(chat, change, true)
	}
}
