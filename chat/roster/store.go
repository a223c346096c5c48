package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

var (
	metaLua    = redis.NewScript(metaScript)
	cursorLua  = redis.NewScript(projection.CursorScript)
	receiptLua = redis.NewScript(receiptScript)
	markLua    = redis.NewScript(markScript)
	releaseLua = redis.NewScript(releaseScript)
	setMarkLua = redis.NewScript(setMarkScript)
	extendLua  = redis.NewScript(extendScript)
)

// layout names the mark; another layout of the keys has another, so that a new
// version rebuilds what an older one left.
const layout = "chat-3"

// Store reads and writes the roster.
type Store struct {
	client redis.UniversalClient
	mark   string // key of the mark of this log
}

// New makes a store for the log of the given epoch.
func New(client redis.UniversalClient, epoch string) *Store {
	return &Store{client: client, mark: proto.ProjectionKey(layout, epoch)}
}

// Change is one entry of a chat's meta log.
type Change struct {
	Chat              proto.Token
	Version, Position uint64
	Fields            map[string]string // name, avatar, description, settings: only what changed
	Added             []Added
	Removed           []proto.Token
}

// Added is a user who became a member, or whose role was set.
type Added struct {
	User proto.Token
	Role proto.Role
}

// Apply applies a change if it is the next of its chat, and returns the version
// held then: less than the change's means that changes before it are missing.
func (s *Store) Apply(ctx context.Context, c Change) (version uint64, err error) {
	// The users' side first: should this stop half-way, the chat's version still
	// says that the change is to be applied.
	pipe := s.client.Pipeline()
	note := func(user proto.Token, member uint64) {
		pipe.ZAddArgs(ctx, proto.UserChatsKey(user), redis.ZAddArgs{
			GT: true, Members: []redis.Z{{Score: float64(2*c.Version + member), Member: string(c.Chat)}},
		})
	}
	for _, a := range c.Added {
		note(a.User, 1)
	}
	for _, user := range c.Removed {
		note(user, 0)
	}
	if pipe.Len() > 0 {
		if err := projection.Exec(ctx, pipe); err != nil {
			return 0, fmt.Errorf("apply version %d of chat %s to its users: %w", c.Version, c.Chat, err)
		}
	}
	args := []any{c.Version, c.Position, 2 * len(c.Fields)}
	for name, value := range c.Fields {
		args = append(args, name, value)
	}
	args = append(args, 2*len(c.Added))
	for _, a := range c.Added {
		args = append(args, string(a.User), string(a.Role))
	}
	for _, user := range c.Removed {
		args = append(args, string(user))
	}
	n, err := metaLua.Run(ctx, s.client, []string{proto.ChatKey(c.Chat), proto.MembersKey(c.Chat), proto.AwayKey(c.Chat)}, args...).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return 0, fmt.Errorf("apply version %d of chat %s: %w", c.Version, c.Chat, err)
	}
	return uint64(n), nil
}

// Chat is a chat as it stands.
type Chat struct {
	Version, Position uint64            // of the last change; 0: no such chat
	Fields            map[string]string // name, avatar, description, settings
	Count             int
	Members           map[proto.Token]projection.Member // those asked for
}

// Chat reads a chat and, of its members, the users given.
func (s *Store) Chat(ctx context.Context, chat proto.Token, users []proto.Token) (Chat, error) {
	// One transaction: what is read belongs to one version.
	pipe := s.client.TxPipeline()
	all := pipe.HGetAll(ctx, proto.ChatKey(chat))
	count := pipe.HLen(ctx, proto.MembersKey(chat))
	var members *redis.SliceCmd
	if len(users) > 0 {
		members = pipe.HMGet(ctx, proto.MembersKey(chat), texts(users)...)
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return Chat{}, fmt.Errorf("read chat %s: %w", chat, err)
	}
	c := Chat{Fields: all.Val(), Count: max(int(count.Val())-1, 0), Members: map[proto.Token]projection.Member{}} // one field is MembersMeta
	c.Version, _ = strconv.ParseUint(c.Fields["ver"], 10, 64)
	c.Position, _ = strconv.ParseUint(c.Fields["mpos"], 10, 64)
	if members != nil {
		for i, v := range members.Val() {
			if text, ok := v.(string); ok {
				if m, ok := projection.ParseMember(text); ok {
					c.Members[users[i]] = m
				}
			}
		}
	}
	return c, nil
}

// Are says which of several users are members of a chat.
func (s *Store) Are(ctx context.Context, chat proto.Token, users []proto.Token) ([]bool, error) {
	out := make([]bool, len(users))
	if len(users) == 0 {
		return out, nil
	}
	rows, err := s.client.HMGet(ctx, proto.MembersKey(chat), texts(users)...).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("read members of chat %s: %w", chat, err)
	}
	for i, v := range rows {
		out[i] = v != nil
	}
	return out, nil
}

// Listed is one member of a page.
type Listed struct {
	User proto.Token
	projection.Member
}

// MembersPage reads a chat's members in the order of their tokens: at most limit
// of those behind a token. more says that others follow. Redis keeps them in no
// order, so that each page looks at all of them.
func (s *Store) MembersPage(ctx context.Context, chat, after proto.Token, limit int) (page []Listed, more bool, err error) {
	var cursor uint64
	for { // MembersMeta does not parse as a member
		pairs, next, err := s.client.HScan(ctx, proto.MembersKey(chat), cursor, "", 1000).Result()
		if err = projection.Outcome(ctx, err); err != nil {
			return nil, false, fmt.Errorf("read members of chat %s: %w", chat, err)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if user := proto.Token(pairs[i]); user > after {
				if m, ok := projection.ParseMember(pairs[i+1]); ok {
					page = append(page, Listed{user, m})
				}
			}
		}
		if cursor = next; cursor == 0 || len(page) > 4*limit {
			// A scan may show a member twice.
			slices.SortFunc(page, func(a, b Listed) int { return cmp.Compare(a.User, b.User) })
			page = slices.CompactFunc(page, func(a, b Listed) bool { return a.User == b.User })
			if len(page) > limit {
				page, more = page[:limit], true
			}
		}
		if cursor == 0 {
			return page, more, nil
		}
	}
}

// Device is what is known of one device of a user.
type Device struct {
	Chats    []proto.Token // the user's, not the device's: where the user is a member
	Position uint64        // where the device's queue begins
	Known    bool
	Whole    bool // the mark stands: a chat or a device that is not here does not exist
}

// Device reads a user's chats and one device's record.
func (s *Store) Device(ctx context.Context, user, device proto.Token) (Device, error) {
	pipe := s.client.Pipeline()
	chats := pipe.ZRangeWithScores(ctx, proto.UserChatsKey(user), 0, -1)
	record := pipe.HGet(ctx, proto.DevicesKey(user), string(device))
	mark := pipe.Exists(ctx, s.mark)
	if err := projection.Exec(ctx, pipe); err != nil {
		return Device{}, fmt.Errorf("read device of %s: %w", user, err)
	}
	d := Device{Whole: mark.Val() == 1}
	for _, z := range chats.Val() {
		if name, ok := z.Member.(string); ok && isMember(z.Score) {
			d.Chats = append(d.Chats, proto.Token(name))
		}
	}
	if v := record.Val(); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		d.Position, d.Known = n, err == nil
	}
	return d, nil
}

// Place is one user's and one device's place in a chat.
type Place struct {
	Head      projection.Head
	Version   uint64 // of the chat
	Member    projection.Member
	IsMember  bool
	Stay      Stay   // of a member
	Delivered uint64 // cursor of the device; 0: none
	Read      uint64 // cursor of the user; 0: none
}

// Places reads a user's place in each of several chats. Devices to be recorded
// go with it, in the same round trip. whole is false if the mark is missing: then a
// part of the places may be missing.
func (s *Store) Places(ctx context.Context, user, device proto.Token, chats []proto.Token, records ...DeviceRecord) (places []Place, whole bool, err error) {
	pipe := s.client.Pipeline()
	setDevices(ctx, pipe, records)
	versions, members, cursors := make([]*redis.StringCmd, len(chats)), make([]*redis.StringCmd, len(chats)), make([]*redis.SliceCmd, len(chats))
	away := make([]*redis.StringCmd, len(chats))
	for i, chat := range chats {
		versions[i] = pipe.HGet(ctx, proto.ChatKey(chat), "ver")
		members[i] = pipe.HGet(ctx, proto.MembersKey(chat), string(user))
		away[i] = pipe.HGet(ctx, proto.AwayKey(chat), string(user))
		cursors[i] = pipe.HMGet(ctx, proto.CursorsKey(chat), proto.CursorHead, string(user)+"/"+string(device), string(user))
	}
	mark := pipe.Exists(ctx, s.mark) // last: what was read before it stands was whole
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, false, fmt.Errorf("read places of %s: %w", user, err)
	}
	out := make([]Place, len(chats))
	for i := range chats {
		out[i].Version, _ = strconv.ParseUint(versions[i].Val(), 10, 64)
		out[i].Member, out[i].IsMember = projection.ParseMember(members[i].Val())
		out[i].Stay = stayOf(out[i].Member, away[i].Val())
		at := cursors[i].Val()
		if v, ok := at[0].(string); ok {
			out[i].Head = projection.ParseHead(v)
		}
		for j, to := range []*uint64{&out[i].Delivered, &out[i].Read} {
			if v, ok := at[1+j].(string); ok {
				*to, _ = strconv.ParseUint(v, 10, 64)
			}
		}
	}
	return out, mark.Val() == 1, nil
}

// Cursor is one user's or device's cursor in a chat. No device: what the user has read.
type Cursor struct {
	Chat, User, Device proto.Token
	Seq                uint64
}

func (c Cursor) field() string {
	if c.Device == "" {
		return string(c.User)
	}
	return string(c.User) + "/" + string(c.Device)
}

// Advance moves cursors forward; one that is ahead stays.
func (s *Store) Advance(ctx context.Context, cursors []Cursor) error {
	if len(cursors) == 0 {
		return nil
	}
	byChat := map[proto.Token][]any{}
	for _, c := range cursors {
		byChat[c.Chat] = append(byChat[c.Chat], c.field(), c.Seq)
	}
	pipe := s.client.Pipeline()
	for chat, args := range byChat {
		cursorLua.Eval(ctx, pipe, []string{proto.CursorsKey(chat)}, args...)
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return fmt.Errorf("advance %d cursors: %w", len(cursors), err)
	}
	return nil
}

// Receipts reads how far each member of several chats is: what the furthest
// device has, and what is read. A chat with more members than limit is nil. whole
// is false if the mark is missing: then a part of the receipts may be missing.
func (s *Store) Receipts(ctx context.Context, chats []proto.Token, limit int) (receipts []map[proto.Token][2]uint64, whole bool, err error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(chats))
	for i, chat := range chats {
		cmds[i] = receiptLua.Eval(ctx, pipe, []string{proto.MembersKey(chat), proto.CursorsKey(chat)}, limit)
	}
	mark := pipe.Exists(ctx, s.mark)
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, false, fmt.Errorf("read receipts of %d chats: %w", len(chats), err)
	}
	out := make([]map[proto.Token][2]uint64, len(chats))
	for i, cmd := range cmds {
		rows, ok := cmd.Val().([]any)
		if !ok {
			continue
		}
		out[i] = make(map[proto.Token][2]uint64, len(rows)/3)
		for ; len(rows) >= 3; rows = rows[3:] {
			user, _ := rows[0].(string)
			delivered, _ := rows[1].(int64)
			read, _ := rows[2].(int64)
			out[i][proto.Token(user)] = [2]uint64{uint64(delivered), uint64(read)}
		}
	}
	return out, mark.Val() == 1, nil
}

// Among says how many members a chat has and which of the users are.
func (s *Store) Among(ctx context.Context, chat proto.Token, users []proto.Token) (members int, among []bool, err error) {
	pipe := s.client.Pipeline()
	all := pipe.HLen(ctx, proto.MembersKey(chat))
	some := pipe.HMGet(ctx, proto.MembersKey(chat), texts(users)...)
	if err := projection.Exec(ctx, pipe); err != nil {
		return 0, nil, fmt.Errorf("look for %d members of chat %s: %w", len(users), chat, err)
	}
	among = make([]bool, len(users))
	for i, v := range some.Val() {
		among[i] = v != nil
	}
	return max(int(all.Val())-1, 0), among, nil // one field is MembersMeta
}

// Turn asks whether an author of a chat may be told of something.
type Turn struct {
	Chat, Author proto.Token
	What         string
}

// TurnIs is the answer: is the author a member, and has nobody told of it within the time?
type TurnIs struct{ Member, Free bool }

// Turns answers each; one that is free is taken, for the time given.
func (s *Store) Turns(ctx context.Context, asks []Turn, every time.Duration) ([]TurnIs, error) {
	pipe := s.client.Pipeline()
	members, free := make([]*redis.BoolCmd, len(asks)), make([]*redis.BoolCmd, len(asks))
	for i, a := range asks {
		members[i] = pipe.HExists(ctx, proto.MembersKey(a.Chat), string(a.Author))
		free[i] = pipe.SetNX(ctx, proto.TurnKey(a.Chat, a.Author, a.What), 1, every)
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("ask for %d turns: %w", len(asks), err)
	}
	out := make([]TurnIs, len(asks))
	for i := range out {
		out[i] = TurnIs{Member: members[i].Val(), Free: free[i].Val()}
	}
	return out, nil
}

// DeviceRecord is where one device's queue begins.
type DeviceRecord struct {
	User, Device proto.Token
	Position     uint64
}

// SetDevices records devices; the log gave each its one position.
func (s *Store) SetDevices(ctx context.Context, records ...DeviceRecord) error {
	pipe := s.client.Pipeline()
	setDevices(ctx, pipe, records)
	if err := projection.Exec(ctx, pipe); err != nil {
		return fmt.Errorf("record %d devices: %w", len(records), err)
	}
	return nil
}

func setDevices(ctx context.Context, pipe redis.Pipeliner, records []DeviceRecord) {
	for _, r := range records {
		pipe.HSet(ctx, proto.DevicesKey(r.User), string(r.Device), r.Position)
	}
}

// Mark is the position up to which all changes are applied, and whether the
// mark stands at all: without it the roster is not whole.
func (s *Store) Mark(ctx context.Context) (position uint64, whole bool, err error) {
	v, err := s.client.Get(ctx, s.mark).Uint64()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err = projection.Outcome(ctx, err); err != nil {
		return 0, false, fmt.Errorf("read mark: %w", err)
	}
	return v, true, nil
}

// MoveMark moves a standing mark forward; it returns false where there is none.
func (s *Store) MoveMark(ctx context.Context, position uint64) (bool, error) {
	n, err := markLua.Run(ctx, s.client, []string{s.mark}, position).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, fmt.Errorf("move mark: %w", err)
	}
	return n == 1, nil
}

// SetMark says that everything up to position is in Redis. It returns false, and sets
// nothing, if holder does not hold the lock any more: what holder wrote under the lock
// may be lost.
func (s *Store) SetMark(ctx context.Context, holder string, position uint64) (bool, error) {
	n, err := setMarkLua.Run(ctx, s.client, []string{s.mark, s.lock()}, position, holder).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, fmt.Errorf("set mark: %w", err)
	}
	return n == 1, nil
}

// lock is the key of the rebuild's lock. Its hash tag is the mark's key, so that both are
// in one slot.
func (s *Store) lock() string { return "{" + s.mark + "}:lock" }

// Lock is taken by the one instance that rebuilds, for ttl; holder names the instance.
// It returns false if another instance holds the lock.
func (s *Store) Lock(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
	free, err := s.client.SetNX(ctx, s.lock(), holder, ttl).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, fmt.Errorf("lock rebuild: %w", err)
	}
	if free {
		return true, nil
	}
	return s.Extend(ctx, holder, ttl) // left by an attempt of the same instance
}

// Extend lets the lock's time begin again. It returns false if holder does not hold the
// lock any more: its time was over, or Redis lost it, and with it what holder wrote.
func (s *Store) Extend(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
	n, err := extendLua.Run(ctx, s.client, []string{s.lock()}, holder, ttl.Milliseconds()).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, fmt.Errorf("extend lock of rebuild: %w", err)
	}
	return n == 1, nil
}

// Unlock gives the lock back.
func (s *Store) Unlock(ctx context.Context, holder string) error {
	return projection.Outcome(ctx, releaseLua.Run(ctx, s.client, []string{s.lock()}, holder).Err())
}

// Wipe deletes every key chat owns, of whatever log they came from. It calls beat after each
// key, on a cluster from several goroutines, and ends with the error of beat.
func (s *Store) Wipe(ctx context.Context, beat func() error) error {
	wipe := func(ctx context.Context, node *redis.Client) error {
		for _, pattern := range []string{
			proto.ChatKey("*"), proto.ChatKey("*") + ":*", proto.UserChatsKey("*"), proto.DevicesKey("*"),
			proto.HiddenKey("*", "*"), proto.HiddenMarkKey("*"), // a mark last: until then it is not believed for long
		} {
			keys := node.Scan(ctx, 0, pattern, 1000).Iterator()
			for keys.Next(ctx) {
				if err := errors.Join(node.Unlink(ctx, keys.Val()).Err(), beat()); err != nil {
					return err
				}
			}
			if err := keys.Err(); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, wipe)
	case *redis.Client:
		err = wipe(ctx, c)
	default:
		err = fmt.Errorf("cannot scan a %T", c)
	}
	if err = projection.Outcome(ctx, err); err != nil {
		return fmt.Errorf("wipe roster: %w", err)
	}
	return nil
}

func texts(tokens []proto.Token) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = string(t)
	}
	return out
}
