package proto

// Role is a member's role in a chat.
type Role string

const (
	RoleMember Role = "member"
	RoleAdmin  Role = "admin"
	RoleOwner  Role = "owner"
)

// Roles is every value of Role.
var Roles = []string{string(RoleMember), string(RoleAdmin), string(RoleOwner)}

// MaxMembersPerRequest bounds one membership change, so that its log entry
// stays well under the server's message limit.
const MaxMembersPerRequest = 1000

// Bounds of a chat's own fields, in bytes, and of the number of its settings.
const (
	MaxName        = 256
	MaxAvatar      = 2048
	MaxDescription = 4096
	MaxSettings    = 64
	// MaxSettingsBytes bounds the names and values of a chat's settings together.
	MaxSettingsBytes = 64 << 10
)

// Member is one member of a chat.
type Member struct {
	UserID string `json:"userId" rule:"id"`
	Role   Role   `json:"role,omitzero"` // member by default
}

// JoinChatReq is `chat:join`: this socket has the chat open. It never grants
// membership (but under CHAT_POLICY=open, which only the dev run sets).
type JoinChatReq struct {
	ChatID string `json:"chatId" rule:"id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *JoinChatReq) Validate() error { return field("chatId", CheckID(r.ChatID)) }

// JoinChatRes is its ack.
type JoinChatRes struct {
	ChatID      string `json:"chatId"` // ‡
	LastSeq     uint64 `json:"lastSeq"`
	ReadSeq     uint64 `json:"readSeq"`
	UnreadCount uint64 `json:"unreadCount"` // messages behind readSeq that history would show as messages, sent while the user was a member
	Role        Role   `json:"role"`
	Version     uint64 `json:"version"` // of the chat: which membership change the answer knows of
	// Receipts is how far the other members are; only in chats of at most 64.
	Receipts []MemberReceipt `json:"receipts,omitzero"`
}

// OpenReq is a gateway's question at CONNECT, and again after it may have
// missed membership changes: what does this user's device need? The actor says who.
type OpenReq struct {
	Cursor string `json:"cursor,omitzero"` // nextCursor of the page before
}

// Validate checks every field; the error names the first that is wrong.
func (r *OpenReq) Validate() error { return optional("cursor", r.Cursor, checkCursor) }

// OpenRes is a page of what a gateway needs to serve a device. A chat of which the user is
// a member throughout the reading stands in exactly one page.
type OpenRes struct {
	Epoch    string     `json:"epoch"`    // of the log
	Position uint64     `json:"position"` // the log's head, read before the chats below
	Chats    []ChatHead `json:"chats"`    // most recently active first
	// NewDevice is true where the device had never been seen: it starts at the head.
	NewDevice  bool   `json:"newDevice,omitzero"`
	NextCursor string `json:"nextCursor,omitzero"` // asks for the next page; absent on the last
}

// ChatHead is how far one chat is, and how far this device is in it.
type ChatHead struct {
	ChatID       string `json:"chatId"`
	Version      uint64 `json:"version"`      // of the chat: changes of name, members and the like
	Joined       uint64 `json:"joined"`       // stream position of this user's joining
	LastSeq      uint64 `json:"lastSeq"`      // of the last message, 0 for none
	LastPosition uint64 `json:"lastPosition"` // stream position of that message
	Delivered    uint64 `json:"delivered"`    // seq up to which this device has everything
	// Missed is how many messages the queue of this device will bring.
	Missed uint64 `json:"missed,omitzero"`
}

// BacklogReq asks for a page of what a device has not had, over several chats.
type BacklogReq struct {
	Chats []BacklogChat `json:"chats" rule:"n=1..1000"`
	Limit int           `json:"limit" rule:"n=1..200"` // 1 to 200 messages
}

// BacklogChat is the range still owed of one chat.
type BacklogChat struct {
	ChatID   string `json:"chatId" rule:"id"`
	AfterSeq uint64 `json:"afterSeq"`
	UpToSeq  uint64 `json:"upToSeq"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *BacklogReq) Validate() error {
	if err := first(
		check("chats", len(r.Chats) > 0 && len(r.Chats) <= 1000, "must be 1 to 1000"),
		check("limit", r.Limit > 0 && r.Limit <= 200, "must be 1 to 200"),
	); err != nil {
		return err
	}
	for _, c := range r.Chats {
		if err := field("chats.chatId", CheckID(c.ChatID)); err != nil {
			return err
		}
	}
	return nil
}

// BacklogRes is the page, oldest first over all chats asked. Each seq of a range asked is among
// Items or Absent, up to where the page ends in its chat: what is in neither has
// not been looked at, and is asked for again.
type BacklogRes struct {
	Items []LogItem `json:"items"`
	More  bool      `json:"more"` // some range asked is not exhausted
	// Absent is, by chat and in order, what the user cannot be given: hidden from the user,
	// or not in the log any more, as its leader says.
	Absent []SeqRange `json:"absent,omitzero"`
	Gone   []string   `json:"gone,omitzero"` // chats that the user is no member of
}

// SeqRange is the messages of a chat with FromSeq ≤ seq ≤ ToSeq.
type SeqRange struct {
	ChatID  string `json:"chatId"`
	FromSeq uint64 `json:"fromSeq"`
	ToSeq   uint64 `json:"toSeq"`
}

// LogItem is one entry of the log with its place.
type LogItem struct {
	ChatID   string `json:"chatId"`
	Seq      uint64 `json:"seq"`
	Position uint64 `json:"position"`
	Body     Raw    `json:"body"`
}

// PutChatReq creates a chat or sets what is given of it; listed members are
// added or get the role. Backends only.
type PutChatReq struct {
	ChatID      string         `json:"chatId" rule:"id"`
	Name        *string        `json:"name,omitzero" rule:"bytes=..256"`
	Avatar      *string        `json:"avatar,omitzero" rule:"bytes=..2048"`
	Description *string        `json:"description,omitzero" rule:"bytes=..4096"`
	Settings    map[string]Raw `json:"settings,omitzero" rule:"n=..64"`
	Members     []Member       `json:"members,omitzero" rule:"n=..1000"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *PutChatReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		text("name", r.Name, MaxName), text("avatar", r.Avatar, MaxAvatar), text("description", r.Description, MaxDescription),
		CheckSettings(r.Settings),
		checkMembers(r.Members),
	)
}

// CheckSettings bounds the settings of a chat, in one request and in all.
func CheckSettings(settings map[string]Raw) error {
	size := 0
	for name, value := range settings {
		size += len(name) + len(value)
	}
	return first(
		check("settings", len(settings) <= MaxSettings, "must be at most 64 entries"),
		tooLarge("settings", size, MaxSettingsBytes),
	)
}

// ChatRes is a chat as backends see it.
type ChatRes struct {
	ChatID      string         `json:"chatId"`
	Name        string         `json:"name,omitzero"`
	Avatar      string         `json:"avatar,omitzero"`
	Description string         `json:"description,omitzero"`
	Settings    map[string]Raw `json:"settings,omitzero"`
	Version     uint64         `json:"version"`
	LastSeq     uint64         `json:"lastSeq"`
	MemberCount int            `json:"memberCount"`
	Members     []Member       `json:"members,omitzero"`    // of GET: one page
	NextCursor  string         `json:"nextCursor,omitzero"` // of GET: asks for the next page; absent on the last
	Created     bool           `json:"created,omitzero"`
}

// MaxMembersPage bounds a page of members, and is what a page has where no
// limit is asked for.
const MaxMembersPage = 1000

// GetChatReq asks for a chat and one page of its members. A member throughout
// the reading stands in exactly one page, whatever joins and leaves meanwhile.
type GetChatReq struct {
	ChatID string `json:"chatId" rule:"id"`
	Cursor string `json:"cursor,omitzero"`                 // nextCursor of the page before
	Limit  *int   `json:"limit,omitzero" rule:"n=1..1000"` // members a page, 1000 by default; a page may have fewer
}

// Validate checks every field; the error names the first that is wrong.
func (r *GetChatReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		optional("cursor", r.Cursor, checkCursor),
		within("limit", r.Limit, 1, MaxMembersPage),
	)
}

// checkCursor: a cursor is the last member's token.
func checkCursor(cursor string) error {
	if _, err := Token(cursor).ID(); err != nil {
		return Errorf(InvalidPayload, "must be the nextCursor of a page")
	}
	return nil
}

// AddMembersReq adds members to a chat, or sets their role. Backends only.
type AddMembersReq struct {
	ChatID  string   `json:"chatId" rule:"id"`
	UserID  string   `json:"userId,omitzero" rule:"id"` // one member
	Role    Role     `json:"role,omitzero"`
	Members []Member `json:"members,omitzero" rule:"n=..1000"` // or several
	AddedBy string   `json:"addedBy,omitzero" rule:"id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *AddMembersReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		check("userId", (r.UserID != "") != (len(r.Members) > 0), "or members is required, not both"),
		optional("userId", r.UserID, CheckID),
		check("role", r.Role == "" || oneOf(string(r.Role), Roles), "must be one of member, admin, owner"),
		checkMembers(r.Members),
		optional("addedBy", r.AddedBy, CheckID),
	)
}

// RemoveMemberReq ends a membership. Backends only.
type RemoveMemberReq struct {
	ChatID string `json:"chatId" rule:"id"`
	UserID string `json:"userId" rule:"id"`
	Reason string `json:"reason,omitzero" rule:"enum=left|removed|banned"` // left, removed or banned; removed by default
}

// Validate checks every field; the error names the first that is wrong.
func (r *RemoveMemberReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)), field("userId", CheckID(r.UserID)),
		check("reason", r.Reason == "" || oneOf(r.Reason, []string{"left", "removed", "banned"}), "must be one of left, removed, banned"),
	)
}

// MembersRes is the answer to a membership change.
type MembersRes struct {
	ChatID      string `json:"chatId"`
	Version     uint64 `json:"version"`
	MemberCount int    `json:"memberCount"`
	Changed     int    `json:"changed"` // members this request added, changed or removed
}

// ChatUpdated is `chat:updated`: what changed, and with updateType members the
// members added and removed. It is also a log entry from which the chat can be rebuilt.
type ChatUpdated struct {
	ChatID     string      `json:"chatId"`                                                          // ‡
	UpdatedBy  string      `json:"updatedBy"`                                                       // ‡ a user, or "backend"
	UpdateType string      `json:"updateType" rule:"enum=name|avatar|description|settings|members"` // ‡ name, avatar, description, settings or members
	Changes    ChatChanges `json:"changes"`                                                         // ‡
	Timestamp  Timestamp   `json:"timestamp"`                                                       // ‡
	Version    uint64      `json:"version"`                                                         // of the chat: 1 for its creation, one more for each change
}

// ChatChanges is what of a chat is new; absent means unchanged.
type ChatChanges struct {
	Name        *string        `json:"name,omitzero"`
	Avatar      *string        `json:"avatar,omitzero"`
	Description *string        `json:"description,omitzero"`
	Settings    map[string]Raw `json:"settings,omitzero"`
	Added       []Member       `json:"added,omitzero"`
	Removed     []string       `json:"removed,omitzero"`
	RoleChanged []string       `json:"roleChanged,omitzero"` // of added: those who were members before
}

// MemberJoined is `chat:member-joined`.
type MemberJoined struct {
	ChatID    string    `json:"chatId"`                             // ‡
	UserID    string    `json:"userId"`                             // ‡
	Timestamp Timestamp `json:"timestamp"`                          // ‡
	Kind      string    `json:"kind" rule:"enum=active|membership"` // active or membership
	Role      Role      `json:"role,omitzero"`
	AddedBy   string    `json:"addedBy,omitzero"`
	Version   uint64    `json:"version,omitzero"` // of the chat; absent for kind active
}

// MemberLeft is `chat:member-left`. The removed user gets it last, then nothing more.
type MemberLeft struct {
	ChatID    string    `json:"chatId"`                             // ‡
	UserID    string    `json:"userId"`                             // ‡
	Timestamp Timestamp `json:"timestamp"`                          // ‡
	Kind      string    `json:"kind" rule:"enum=active|membership"` // active or membership
	Reason    string    `json:"reason,omitzero" rule:"enum=left|removed|banned"`
	Version   uint64    `json:"version,omitzero"`
}

// Kinds of MemberJoined and MemberLeft.
const (
	KindActive     = "active"
	KindMembership = "membership"
)

func checkMembers(members []Member) error {
	if err := check("members", len(members) <= MaxMembersPerRequest, "must be at most 1000"); err != nil {
		return err
	}
	for _, m := range members {
		if err := first(
			field("members.userId", CheckID(m.UserID)),
			check("members.role", m.Role == "" || oneOf(string(m.Role), Roles), "must be one of member, admin, owner"),
		); err != nil {
			return err
		}
	}
	return nil
}

func text(name string, v *string, limit int) error {
	if v == nil {
		return nil
	}
	return tooLarge(name, len(*v), limit)
}
