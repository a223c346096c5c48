package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// maxRelations bounds the contacts and blocks of one user together, in bytes:
// they are one entry of the log, and a NATS message holds little more.
const maxRelations = 200_000

// blocks names the list that concerns both sides.
const blocks = "blocks"

// Pauses between tries to append, which grow.
const (
	firstRelate = 20 * time.Millisecond
	lastRelate  = 500 * time.Millisecond
	// relateMargin is how long before the request's deadline it is given up, so
	// that the caller still hears why.
	relateMargin = 50 * time.Millisecond
)

// putContacts sets everybody who may see a user without sharing a chat.
func (s *Service) putContacts(ctx context.Context, req proto.PutRelationsReq) (proto.RelationsRes, error) {
	return s.putRelations(ctx, req, func(r *proto.Relations) *[]string { return &r.Contacts }, "contacts")
}

// putBlocks sets everybody a user has blocked.
func (s *Service) putBlocks(ctx context.Context, req proto.PutRelationsReq) (proto.RelationsRes, error) {
	return s.putRelations(ctx, req, func(r *proto.Relations) *[]string { return &r.Blocks }, blocks)
}

// putRelations replaces one list of a user's relations by one entry of the log
// that follows the one it was made from. The same again stores nothing. It
// returns when Redis has it too, so that whoever asks from then on is answered by it.
func (s *Service) putRelations(ctx context.Context, req proto.PutRelationsReq, list func(*proto.Relations) *[]string, kind string) (proto.RelationsRes, error) {
	if err := services.BackendOnly(ctx); err != nil {
		return proto.RelationsRes{}, err
	}
	user, err := proto.EncodeID(req.UserID)
	if err != nil {
		return proto.RelationsRes{}, proto.FieldError("userId", err)
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-relateMargin))
		defer cancel()
	}
	now, changed, err := s.relate(ctx, user, services.RepeatKey(ctx, "presence:relations:"+kind), list, others(req.UserID, req.UserIDs))
	if err != nil {
		return proto.RelationsRes{}, unavailable(err)
	}
	s.tellRecheck(ctx, user)
	if kind == blocks { // a block hides each from the other
		concerned, err := tokens(changed)
		if err != nil {
			return proto.RelationsRes{}, proto.FieldError("userIds", err)
		}
		for _, other := range concerned {
			s.tellRecheck(ctx, other)
		}
	}
	return proto.RelationsRes{UserID: req.UserID, Count: len(*list(&now.Relations)), Version: now.Position}, nil
}

// relate makes a list of a user's relations what is wanted. changed is who was
// added or removed; nobody where an earlier try had stored it. key is one for all tries,
// and all repeats of the request: what was stored is not stored again.
func (s *Service) relate(ctx context.Context, user proto.Token, key string, list func(*proto.Relations) *[]string, wanted []string) (now relations.Entry, changed []string, err error) {
	for wait := firstRelate; ; {
		now, changed, err = s.tryRelate(ctx, user, key, list, wanted)
		switch {
		case errors.Is(err, relations.ErrMoved):
			wait = firstRelate
		case !errors.Is(err, relations.ErrUnavailable):
			return now, changed, err
		}
		if !waitFor(ctx, wait) {
			return relations.Entry{}, nil, err
		}
		wait = min(2*wait, lastRelate)
	}
}

func (s *Service) tryRelate(ctx context.Context, user proto.Token, key string, list func(*proto.Relations) *[]string, wanted []string) (now relations.Entry, changed []string, err error) {
	now, err = s.relations.Newest(ctx, user)
	if err != nil {
		return now, nil, err
	}
	have := list(&now.Relations)
	if changed = differing(*have, wanted); len(changed) == 0 {
		// A crash may have come between log and Redis: then this is the repeat.
		return now, nil, s.relations.Keep(ctx, user, now, relations.KeepFor)
	}
	if err := s.relations.Keep(ctx, user, now, relations.Briefly); err != nil {
		return now, nil, err
	}
	*have = wanted
	body, err := relationsBody(&now.Relations)
	if err != nil {
		return now, nil, err
	}
	position, repeated, err := s.relations.Append(ctx, relations.Append{User: user, After: now.Position, Key: key, Trace: traceOf(ctx), Body: body})
	if err != nil {
		return now, nil, err
	}
	now.Position = position
	if repeated { // and something may have followed it
		newest, err := s.relations.Newest(ctx, user)
		if err != nil {
			return now, nil, err
		}
		return now, changed, s.relations.Keep(ctx, user, newest, relations.KeepFor)
	}
	return now, changed, s.relations.Keep(ctx, user, now, relations.KeepFor)
}

// traceOf is the trace context to write on what a request leaves behind.
func traceOf(ctx context.Context) string {
	if call, ok := services.CallFrom(ctx); ok {
		return call.Traceparent()
	}
	return ""
}

// relationsBody is an entry of the log.
func relationsBody(r *proto.Relations) ([]byte, error) {
	body, err := wire.Marshal(r)
	if err == nil && len(body) > maxRelations {
		err = &proto.Error{
			Code: proto.PayloadTooLarge, Field: "userIds",
			Message: fmt.Sprintf("contacts and blocks must be at most %d bytes together", maxRelations),
		}
	}
	return body, err
}

// others are ids without the user's own, each once and sorted.
func others(user string, ids []string) []string {
	out := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == user })
	slices.Sort(out)
	return slices.Compact(out)
}

// differing is who stands in one of two sorted lists only.
func differing(a, b []string) (out []string) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// tellRecheck tells the gateways that who may see a user has changed. It may be
// lost: they ask again by themselves, only later.
func (s *Service) tellRecheck(ctx context.Context, user proto.Token) {
	if err := s.host.PublishEphemeral(proto.PresenceEph(user), proto.RecheckPresence, services.Except{}, []byte(`{}`)); err != nil {
		s.host.Log().WarnContext(ctx, "tell that relations have changed", "error", err)
	}
}

// waitFor waits, or says no when ctx ends, or would end first.
func waitFor(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
