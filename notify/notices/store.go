package notices

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = journal.ErrUnavailable
	// errRepeated: an earlier try with the same key stored it.
	errRepeated = fmt.Errorf("it is stored already: %w", journal.ErrStale)
)

var (
	applyLua = redis.NewScript(applyScript)
	beginLua = redis.NewScript(beginScript)
	viewLua  = redis.NewScript(viewScript)
	aimLua   = redis.NewScript(aimScript)
	pageLua  = redis.NewScript(pageScript)
)

// Store appends to the log and keeps what it says in Redis. What a method needs
// of the log that Redis lacks it reads first. Methods return ErrUnavailable or
// services.ErrRedisDown.
type Store struct {
	client redis.UniversalClient
	log    *journal.Journal
}

// New makes a store that reads the log over a connection of its own.
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, log: journal.New(js, read)}
}

// keysOf has another name of the mark for another layout of the rest: what an older version
// left is read anew.
func keysOf(user proto.Token) []string {
	return []string{
		proto.NoticesKey(user, "at:2"), proto.NoticesKey(user, "order"), proto.NoticesKey(user, "unread"), proto.NoticesKey(user, "bodies"),
		proto.NoticesKey(user, "about"), proto.NoticesKey(user, "expires"), proto.NoticesKey(user, "keys"), proto.PushSentKey(user),
	}
}

// run runs a script whose answer is a list that begins with the mark.
func (s *Store) run(ctx context.Context, script *redis.Script, user proto.Token, args ...any) (journal.Mark, []any, error) {
	out, err := script.Run(ctx, s.client, keysOf(user), args...).Slice()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return journal.Mark{}, nil, fmt.Errorf("read notifications of %s: %w", user, err)
	}
	text := ""
	if len(out) > 0 {
		text, _ = out[0].(string)
	}
	if text == "" {
		return journal.Mark{}, nil, journal.ErrStale
	}
	m, err := journal.ParseMark(text)
	return m, out[1:], err
}

// whole repeats a read until Redis has everything that the log had when it began.
func (s *Store) whole(ctx context.Context, user proto.Token, read func() (journal.Mark, error)) error {
	for {
		_, err := s.log.AsOfLast(ctx, proto.UserNotices(user), read)
		if !errors.Is(err, journal.ErrStale) {
			return err
		}
		if err := s.heal(ctx, user); err != nil {
			return err
		}
	}
}

// Adding is a notification to be. Its id, badge and collapse key, where there is a
// chat, are made here.
type Adding struct {
	User proto.Token
	Key  string // the same again is the same notification, whatever else it says
	TTL  time.Duration
	proto.Notification
	Trace string
}

// Added is a notification that is there.
type Added struct {
	ID       string
	Position uint64 // in the log; 0 where it was there already
}

// Add stores a notification, once for its key. Its badge is how many are unread
// with it, exactly: nothing else came in between.
func (s *Store) Add(ctx context.Context, a *Adding) (Added, error) {
	of := keyMark(a.User, a.Key)
	ms := a.Timestamp.UnixMilli()
	n := a.Notification
	n.ID, n.Read = notificationID(uint64(max(ms, 0)), of), false
	for {
		at, out, err := s.run(ctx, viewLua, a.User, ms, markText(of), proto.MaxNotifications)
		if errors.Is(err, journal.ErrStale) {
			if err = s.heal(ctx, a.User); err == nil {
				continue
			}
		}
		if err != nil {
			return Added{}, err
		}
		if text, _ := out[0].(string); text != "" {
			was, err := strconv.ParseUint(text, 10, 64)
			return Added{ID: notificationID(was, of)}, err
		}
		n.Badge = new(number(out[1]))
		position, err := s.append(ctx, at, &journal.Append{
			Subject: proto.UserNotices(a.User), Key: "notice:" + string(a.User) + ":" + markText(of), Event: proto.NotificationEvent.Name,
			Trace: a.Trace, Expires: a.Timestamp.Add(a.TTL).UnixMilli(),
		}, a.User, n, ms)
		if err == nil {
			return Added{ID: n.ID, Position: position}, nil
		}
		if !errors.Is(err, journal.ErrStale) {
			return Added{}, err
		}
		if err := s.heal(ctx, a.User); err != nil {
			return Added{}, err
		}
	}
}

// append stores an entry that follows from what Redis had as of a mark, and has
// Redis know it where it can; else whoever comes next reads it from the log. journal.ErrStale:
// others were first, or it is there by an earlier try.
func (s *Store) append(ctx context.Context, at journal.Mark, a *journal.Append, user proto.Token, body any, now int64) (position uint64, err error) {
	if a.Body, err = wire.Marshal(body); err != nil {
		return 0, fmt.Errorf("encode notification: %w", err)
	}
	a.After = at.Position
	position, repeated, err := s.log.Append(ctx, *a)
	switch {
	case errors.Is(err, journal.ErrMoved):
		return 0, journal.ErrStale
	case err == nil && repeated:
		return 0, errRepeated
	case err != nil:
		return 0, err
	}
	args, err := entryArgs(&journal.Entry{Position: position, Event: a.Event, Expires: a.Expires, Body: a.Body}, now)
	if err != nil {
		return 0, err
	}
	to := journal.Mark{Epoch: at.Epoch, Position: position}
	_ = applyLua.Run(ctx, s.client, keysOf(user), append([]any{at.String(), to.String()}, args...)...).Err()
	return position, nil
}

// heal brings Redis up to the log's last entry of a user, as of now. Others may do
// the same: what they have applied need not be.
func (s *Store) heal(ctx context.Context, user proto.Token) error {
	for {
		if done, err := s.healOnce(ctx, user); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read notifications of %s: %w: %w", user, ErrUnavailable, err)
		}
	}
}

func (s *Store) healOnce(ctx context.Context, user proto.Token) (done bool, err error) {
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return false, err
	}
	keys := keysOf(user)
	text, err := s.client.Get(ctx, keys[0]).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("read notifications of %s: %w", user, err)
	}
	last, _, err := s.log.Last(ctx, proto.UserNotices(user))
	if err != nil {
		return false, err
	}
	at, err := journal.ParseMark(text)
	// What Redis has of another log, or of an end that the log has lost, is void.
	if err != nil || at.Epoch != epoch || at.Position > last.Position {
		at = journal.Mark{Epoch: epoch}
		n, err := beginLua.Run(ctx, s.client, keys, text, at.String()).Int64()
		if err := services.RedisOutcome(ctx, err); err != nil || n != 1 {
			return false, err
		}
	}
	for more := true; more; {
		var entries []journal.Entry
		if entries, more, err = s.log.Page(ctx, proto.UserNotices(user), at.Position); err != nil {
			return false, err
		}
		if at, err = s.applyAll(ctx, keys, at, entries); err != nil {
			if errors.Is(err, journal.ErrStale) {
				return false, nil
			}
			return false, fmt.Errorf("keep notifications of %s: %w", user, err)
		}
	}
	return true, nil
}

// applyAll takes entries one after the other; journal.ErrStale says that Redis is not as of
// where they begin any more.
func (s *Store) applyAll(ctx context.Context, keys []string, at journal.Mark, entries []journal.Entry) (journal.Mark, error) {
	if len(entries) == 0 {
		return at, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, 0, len(entries))
	for i := range entries {
		args, err := entryArgs(&entries[i], 0)
		if err != nil {
			return at, err
		}
		to := journal.Mark{Epoch: at.Epoch, Position: entries[i].Position}
		cmds = append(cmds, applyLua.Eval(ctx, pipe, keys, append([]any{at.String(), to.String()}, args...)...))
		at = to
	}
	_, _ = pipe.Exec(ctx)
	for _, cmd := range cmds {
		n, err := cmd.Int64()
		if err := services.RedisOutcome(ctx, err); err != nil {
			return at, err
		}
		if n != 1 {
			return at, journal.ErrStale
		}
	}
	return at, nil
}

// What taking does.
const (
	read     = "read"
	clearing = "clear"
)

// Taking is notifications that are read or cleared.
type Taking struct {
	User proto.Token
	IDs  []string
	All  bool // there are when it begins, and none that come after
	// About is the message that those of Type are about; empty: none are meant.
	About string
	Type  proto.NotificationType
	Now   time.Time
	Key   string // the same again is stored once
	// Socket is the one that takes: the user's others are told.
	Socket string
	Trace  string // traceparent of the entry
}

// entry is what the log is to have of a taking, and what clients are told of it.
func (t *Taking) entry(what string, out *Taken) (event string, body any) {
	if what == clearing {
		return proto.NotificationsClearedEvent.Name, proto.NotificationsCleared{NotificationIDs: out.IDs, UnreadCount: out.Unread}
	}
	return proto.NotificationsReadEvent.Name, proto.NotificationsRead{NotificationIDs: out.IDs, UnreadCount: out.Unread}
}

// Taken is what that changed.
type Taken struct {
	IDs      []string
	Unread   int      // with it
	Withdraw []string // collapse keys of pushes of which nothing is unread any more
	Position uint64   // in the log; 0 where nothing changed
}

// Read marks notifications as read.
func (s *Store) Read(ctx context.Context, t *Taking) (Taken, error) { return s.take(ctx, read, t) }

// Clear removes notifications.
func (s *Store) Clear(ctx context.Context, t *Taking) (Taken, error) { return s.take(ctx, clearing, t) }

func (s *Store) take(ctx context.Context, what string, t *Taking) (out Taken, err error) {
	var upTo uint64
	if t.All {
		last, _, err := s.log.Last(ctx, proto.UserNotices(t.User))
		if err != nil {
			return out, err
		}
		upTo = last.Position
	}
	about := ""
	if t.About != "" {
		about = aboutOf(t.Type, t.About)
	}
	now := t.Now.UnixMilli()
	for {
		var at journal.Mark
		if at, out, err = s.aim(ctx, what, t.User, now, upTo, about, t.IDs); err != nil || len(out.IDs) == 0 {
			return out, err
		}
		event, body := t.entry(what, &out)
		out.Position, err = s.append(ctx, at, &journal.Append{
			Subject: proto.UserNotices(t.User), Key: t.Key, Event: event, Socket: t.Socket, Trace: t.Trace,
		}, t.User, body, now)
		switch {
		case errors.Is(err, errRepeated): // what there is now came after
			out = Taken{}
			out.Unread, err = s.Unread(ctx, t.User, t.Now)
			return out, err
		case errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
			// Stored or not: who does not know withdraws nothing, and nor does who asks again.
			if out.Position, err = s.find(ctx, t.User, at.Position, event, body); err != nil || out.Position > 0 {
				return out, err
			}
		case !errors.Is(err, journal.ErrStale):
			return out, err
		}
	}
}

// find is the position of an entry behind another; 0 where it is not there.
func (s *Store) find(ctx context.Context, user proto.Token, after uint64, event string, payload any) (uint64, error) {
	body, err := wire.Marshal(payload)
	if err != nil {
		return 0, fmt.Errorf("encode %s: %w", event, err)
	}
	last, _, err := s.log.Last(ctx, proto.UserNotices(user))
	for err == nil && after < last.Position {
		var entries []journal.Entry
		if entries, _, err = s.log.Page(ctx, proto.UserNotices(user), after); err == nil && len(entries) == 0 {
			break // by a replica that is behind: what is there is found by who asks next
		}
		for _, e := range entries {
			if e.Event == event && bytes.Equal(e.Body, body) {
				return e.Position, nil
			}
			after = e.Position
		}
	}
	return 0, err
}

// Unread is how many of a user's notifications are unread.
func (s *Store) Unread(ctx context.Context, user proto.Token, now time.Time) (int, error) {
	_, out, err := s.aim(ctx, read, user, now.UnixMilli(), 0, "", nil)
	return out.Unread, err
}

// IsUnread says whether a user's notification is there and not read.
func (s *Store) IsUnread(ctx context.Context, user proto.Token, id string, now time.Time) (bool, error) {
	_, out, err := s.aim(ctx, read, user, now.UnixMilli(), 0, "", []string{id})
	return len(out.IDs) > 0, err
}

// aim says what a change would do, as of a mark.
func (s *Store) aim(ctx context.Context, what string, user proto.Token, now int64, upTo uint64, about string, ids []string) (at journal.Mark, out Taken, err error) {
	args := []any{now, what, upTo, about}
	for _, id := range ids {
		args = append(args, id)
	}
	err = s.whole(ctx, user, func() (journal.Mark, error) {
		var answer []any
		if at, answer, err = s.run(ctx, aimLua, user, args...); err != nil {
			return at, err
		}
		out = Taken{Unread: number(answer[0]), IDs: texts(answer[1]), Withdraw: texts(answer[2])}
		return at, nil
	})
	return at, out, err
}

// Page is some of a user's notifications, newest first.
type Page struct {
	Notifications []proto.Notification
	Unread        int
	Next          uint64 // position before which the next page begins; 0: there are no more
}

// Page reads the newest before a position (0: the newest of all), of some types
// (none: all), all of it at one moment, as many as fit an answer.
func (s *Store) Page(ctx context.Context, user proto.Token, now time.Time, before uint64, limit int, types []proto.NotificationType, room func() *services.Room) (p Page, err error) {
	args := []any{now.UnixMilli(), "+inf", limit}
	if before > 0 {
		args[1] = "(" + strconv.FormatUint(before, 10)
	}
	for _, t := range types {
		args = append(args, string(t))
	}
	err = s.whole(ctx, user, func() (journal.Mark, error) {
		at, out, err := s.run(ctx, pageLua, user, args...)
		if err == nil {
			p, err = pageOf(out, room())
		}
		return at, err
	})
	return p, err
}

// Frames, in bytes: what an answer has beside notifications, and what a notification gets
// in it beside its stored body.
const (
	pageFrame = 1 << 10
	itemFrame = 32
)

func pageOf(out []any, room *services.Room) (Page, error) {
	room.Fits(pageFrame)
	p := Page{Unread: number(out[0]), Notifications: []proto.Notification{}}
	more := number(out[1]) == 1
	var last uint64 // position of the last notification of the page
	for item := out[2:]; len(item) >= 4; item = item[4:] {
		var n proto.Notification
		body, _ := item[3].(string)
		if !room.Fits(len(body) + itemFrame) {
			p.Next = last
			break
		}
		if err := wire.Restore([]byte(body), &n); err != nil {
			return p, fmt.Errorf("notification %v: %w", item[0], err)
		}
		n.Read = number(item[2]) == 0
		n.Badge = nil // it was of its moment
		p.Notifications = append(p.Notifications, n)
		if last = uint64(max(number(item[1]), 0)); more {
			p.Next = last
		}
	}
	return p, nil
}

// number is an integer of a script's answer; a score comes as text.
func number(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case string:
		i, _ := strconv.Atoi(n)
		return i
	}
	return 0
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}
