package relations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

const (
	// KeepFor is how long Redis has what an entry says.
	KeepFor = time.Hour
	// Briefly is how long Redis has what may be about to change: longer than an
	// append is tried, so that nobody reads the old entry for an hour after it.
	Briefly = 15 * time.Second
	// attemptTimeout is how long one append waits before its outcome counts as unknown.
	attemptTimeout = 2 * time.Second
	// readTimeout is how long one read waits: a reply can be lost with its connection.
	readTimeout = 3 * time.Second
)

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = journal.ErrUnavailable
	// ErrMoved: the user's last entry is not the one expected; nothing was stored.
	ErrMoved = errors.New("relations have changed meanwhile")
)

var keepLua = redis.NewScript(keepScript)

// Fields of a user's hash beside those of users: no token has a dot.
const atField = ".at"

// What a user is to the one whose hash it is.
const (
	contact        = "c"
	blocked        = "b"
	contactBlocked = "cb"
)

// Store appends to the log and reads it, with Redis before it.
type Store struct {
	client redis.UniversalClient
	js     jetstream.JetStream
	log    *journal.Journal
}

// New makes a store.
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, js: js, log: journal.New(js, read)}
}

// Entry is the newest entry of a user.
type Entry struct {
	Epoch    string // of its log
	Position uint64 // 0: there is none
	proto.Relations
}

// Newest reads a user's newest entry from the leader of the log.
func (s *Store) Newest(ctx context.Context, user proto.Token) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	e, err := s.newest(ctx, proto.UserRelations(user))
	if err != nil {
		return Entry{}, fmt.Errorf("read relations of %s: %w", user, err)
	}
	return e, nil
}

func (s *Store) newest(ctx context.Context, subject string) (Entry, error) {
	// The epoch is read with what it qualifies: the log may be made anew at any time.
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return Entry{}, err
	}
	last, ok, err := s.log.Last(ctx, subject)
	if err != nil || !ok {
		return Entry{Epoch: epoch}, err
	}
	return entryOf(epoch, last.Position, last.Body)
}

func entryOf(epoch string, position uint64, body []byte) (Entry, error) {
	e := Entry{Epoch: epoch, Position: position}
	if err := wire.Restore(body, &e.Relations); err != nil {
		return Entry{}, fmt.Errorf("relations at position %d: %w", position, err)
	}
	return e, nil
}

// Append is a user's next entry.
type Append struct {
	User  proto.Token
	After uint64 // position of the one before; 0: there is none
	Key   string // the same again, within the log's window, is stored once
	Trace string
	Body  []byte // a proto.Relations
}

// Append stores one entry, once, and gives its position; repeated says that an
// earlier try with this key was stored there. It returns ErrMoved or ErrUnavailable.
func (s *Store) Append(ctx context.Context, a Append) (position uint64, repeated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: proto.UserRelations(a.User), Header: nats.Header{}, Data: a.Body}
	if a.Trace != "" {
		msg.Header[proto.HeaderTrace] = []string{a.Trace}
	}
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(proto.Events.Name),
		jetstream.WithExpectLastSequencePerSubject(a.After), jetstream.WithMsgID(a.Key))
	switch {
	case err == nil:
		return ack.Sequence, ack.Duplicate, nil
	case journal.Moved(err):
		return 0, false, fmt.Errorf("append relations of %s: %w", a.User, ErrMoved)
	}
	return 0, false, fmt.Errorf("append relations of %s: %w: %w", a.User, ErrUnavailable, err)
}

// Keep lets Redis have an entry, for so long, unless it has a newer one.
func (s *Store) Keep(ctx context.Context, user proto.Token, e Entry, ttl time.Duration) error {
	is, err := fieldsOf(e.Relations)
	if err != nil {
		return fmt.Errorf("keep relations of %s: %w", user, err)
	}
	err = keepLua.Run(ctx, s.client, []string{proto.RelationsKey(user)}, keepArgs(e, is, ttl)...).Err()
	if err = registry.Outcome(ctx, err); err != nil {
		return fmt.Errorf("keep relations of %s: %w", user, err)
	}
	return nil
}

func keepArgs(e Entry, is map[proto.Token]string, ttl time.Duration) []any {
	args := make([]any, 0, 3+2*len(is))
	args = append(args, e.Epoch, e.Position, ttl.Milliseconds())
	for user, what := range is {
		args = append(args, string(user), what)
	}
	return args
}

func fieldsOf(r proto.Relations) (map[proto.Token]string, error) {
	is := make(map[proto.Token]string, len(r.Contacts)+len(r.Blocks))
	for _, id := range r.Contacts {
		token, err := proto.EncodeID(id)
		if err != nil {
			return nil, err
		}
		is[token] = contact
	}
	for _, id := range r.Blocks {
		token, err := proto.EncodeID(id)
		if err != nil {
			return nil, err
		}
		if is[token] != "" {
			is[token] = contactBlocked
		} else {
			is[token] = blocked
		}
	}
	return is, nil
}

// Regard is what a user and a watcher are to each other.
type Regard struct {
	Contact bool // the watcher is among the user's contacts
	Blocked bool // one has blocked the other
}

// Between gives the regard of each user for a watcher. What Redis lacks is read
// from the log and kept.
func (s *Store) Between(ctx context.Context, watcher proto.Token, users []proto.Token) ([]Regard, error) {
	pipe := s.client.Pipeline()
	theirs := make([]*redis.SliceCmd, len(users))
	for i, user := range users {
		theirs[i] = pipe.HMGet(ctx, proto.RelationsKey(user), atField, string(watcher))
	}
	fields := make([]string, 0, 1+len(users))
	fields = append(fields, atField)
	for _, user := range users {
		fields = append(fields, string(user))
	}
	own := pipe.HMGet(ctx, proto.RelationsKey(watcher), fields...)
	if _, err := pipe.Exec(ctx); registry.Outcome(ctx, err) != nil {
		return nil, fmt.Errorf("read relations of %s and %d others: %w", watcher, len(users), registry.Outcome(ctx, err))
	}
	missing := map[proto.Token]bool{}
	for i, user := range users {
		if theirs[i].Val()[0] == nil {
			missing[user] = true
		}
	}
	if own.Val()[0] == nil {
		missing[watcher] = true
	}
	loaded, err := s.load(ctx, missing)
	if err != nil {
		return nil, err
	}
	out := make([]Regard, len(users))
	for i, user := range users {
		to, from := text(theirs[i].Val()[1]), text(own.Val()[1+i])
		if is, ok := loaded[user]; ok {
			to = is[watcher]
		}
		if is, ok := loaded[watcher]; ok {
			from = is[user]
		}
		out[i] = Regard{
			Contact: to == contact || to == contactBlocked,
			Blocked: to == blocked || to == contactBlocked || from == blocked || from == contactBlocked,
		}
	}
	return out, nil
}

func text(v any) string { s, _ := v.(string); return s }

// load reads what users are to each of several from the log, and keeps it; also
// that there is nothing.
func (s *Store) load(ctx context.Context, users map[proto.Token]bool) (map[proto.Token]map[proto.Token]string, error) {
	loaded := make(map[proto.Token]map[proto.Token]string, len(users))
	if len(users) == 0 {
		return loaded, nil
	}
	entries, err := s.lasts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read relations of %d users: %w", len(users), err)
	}
	pipe := s.client.Pipeline()
	for user, e := range entries {
		if loaded[user], err = fieldsOf(e.Relations); err != nil {
			return nil, fmt.Errorf("relations of %s: %w", user, err)
		}
		keepLua.Eval(ctx, pipe, []string{proto.RelationsKey(user)}, keepArgs(e, loaded[user], KeepFor)...)
	}
	if _, err := pipe.Exec(ctx); registry.Outcome(ctx, err) != nil {
		return nil, fmt.Errorf("keep relations of %d users: %w", len(users), registry.Outcome(ctx, err))
	}
	return loaded, nil
}

// lasts is the newest entry of each user: nothing that was acknowledged before is missing.
func (s *Store) lasts(ctx context.Context, users map[proto.Token]bool) (map[proto.Token]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	var subjects []string
	entries := make(map[proto.Token]Entry, len(users))
	for user := range users {
		subjects = append(subjects, proto.UserRelations(user))
		entries[user] = Entry{Epoch: epoch}
	}
	newest, err := s.log.Lasts(ctx, subjects)
	if err != nil {
		return nil, err
	}
	for _, e := range newest {
		user, _, err := proto.ParseUserSubject(e.Subject)
		if err != nil {
			return nil, err
		}
		if entries[user], err = entryOf(epoch, e.Position, e.Body); err != nil {
			return nil, err
		}
	}
	return entries, nil
}
