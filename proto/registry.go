package proto

// MaxReport bounds the entries of one ReportReq, of each kind.
const MaxReport = 256

// MaxViewers is how many users ViewersRes lists.
const MaxViewers = 2000

// OpenSessionReq is a gateway's word that the actor has connected, before the
// client hears of it: from here on its return is known.
type OpenSessionReq struct {
	Gateway string `json:"gateway" rule:"id"`          // as in LeaseReq
	Inbox   string `json:"inbox" rule:"id"`            // token of GatewayInbox, for TakeoverEvent
	PID     string `json:"pid" rule:"id"`              // what a return presents
	Returns string `json:"returns,omitzero" rule:"id"` // the pid that was presented; may be the same
}

// Validate checks every field; the error names the first that is wrong.
func (r *OpenSessionReq) Validate() error {
	return first(
		field("gateway", CheckID(r.Gateway)), field("inbox", CheckID(r.Inbox)),
		field("pid", CheckID(r.PID)), optional("returns", r.Returns, CheckID),
	)
}

// OpenSessionRes is its answer.
type OpenSessionRes struct {
	Fence uint64 `json:"fence"` // of this connection: a larger one of the same pid is newer
	// Returned says that the session presented was this user's and device's. The
	// connection it had, if it still has one, is closed; what follows is what it had.
	Returned bool         `json:"returned,omitzero"`
	Was      string       `json:"was,omitzero"`     // the socket of the connection it had, where that is known
	Views    []string     `json:"views,omitzero"`   // chats that it had open
	Watches  []string     `json:"watches,omitzero"` // users whose presence it had subscribed
	Status   Status       `json:"status" rule:"enum=online|away"`
	Own      *OwnPresence `json:"own,omitzero"`
	// Elsewhere is how many connections the user has on other gateways than the Inbox's.
	Elsewhere int `json:"elsewhere,omitzero"`
}

// Takeover is sent to a gateway's inbox: one of its connections is continued by another.
type Takeover struct {
	UserID   string `json:"userId"`
	SocketID string `json:"socketId"`
	PID      string `json:"pid"`
	Fence    uint64 `json:"fence"` // of the connection that ends
}

// ReportReq is what changed of the connections of one gateway, in the order
// ended, began: closed, opened, ended, began, unwatched, watched. Repeating it
// changes nothing, also after a later one; what concerns a connection under an older
// fence than is known changes nothing either.
type ReportReq struct {
	Gateway   string   `json:"gateway" rule:"id"`                 // as in LeaseReq
	Seq       uint64   `json:"seq,omitzero"`                      // of the gateway's reports: a later one has a larger; a repeat has the same
	Inbox     string   `json:"inbox" rule:"id"`                   // as in OpenSessionReq
	Quiet     bool     `json:"quiet,omitzero"`                    // clients were told of the views before: nobody is told again
	Closed    []Closed `json:"closed,omitzero" rule:"n=..256"`    // these connections have ended
	Opened    []Opened `json:"opened,omitzero" rule:"n=..256"`    // these are here: said again after the registry was lost, or late
	Ended     []View   `json:"ended,omitzero" rule:"n=..256"`     // these have a chat open no more
	Began     []View   `json:"began,omitzero" rule:"n=..256"`     // these have a chat open
	Unwatched []Watch  `json:"unwatched,omitzero" rule:"n=..256"` // presence that is subscribed no more
	Watched   []Watch  `json:"watched,omitzero" rule:"n=..256"`   // presence that is subscribed
}

// Validate checks every field; the error names the first that is wrong.
func (r *ReportReq) Validate() error {
	return first(
		field("gateway", CheckID(r.Gateway)), field("inbox", CheckID(r.Inbox)),
		checkReported("closed", r.Closed, func(c *Closed) error { return c.check() }),
		checkReported("opened", r.Opened, func(o *Opened) error { return o.check() }),
		checkReported("ended", r.Ended, func(v *View) error { return v.check() }),
		checkReported("began", r.Began, func(v *View) error { return v.check() }),
		checkReported("unwatched", r.Unwatched, func(w *Watch) error { return w.check() }),
		checkReported("watched", r.Watched, func(w *Watch) error { return w.check() }),
	)
}

func checkReported[T any](name string, all []T, one func(*T) error) error {
	if err := check(name, len(all) <= MaxReport, "must be at most 256"); err != nil {
		return err
	}
	for i := range all {
		if err := one(&all[i]); err != nil {
			return FieldError(name, err)
		}
	}
	return nil
}

// Closed is a connection that has ended.
type Closed struct {
	UserID string    `json:"userId" rule:"id"`
	PID    string    `json:"pid" rule:"id"`
	Fence  uint64    `json:"fence"`
	At     Timestamp `json:"at"`             // when: the user was seen until then
	Final  bool      `json:"final,omitzero"` // the client said goodbye, or was sent away for good: it does not return
}

func (c *Closed) check() error { return first(CheckID(c.UserID), CheckID(c.PID)) }

// Opened is a connection that is there.
type Opened struct {
	UserID   string    `json:"userId" rule:"id"`
	DeviceID string    `json:"deviceId" rule:"id"`
	PID      string    `json:"pid" rule:"id"`
	SocketID string    `json:"socketId" rule:"id"`
	Fence    uint64    `json:"fence,omitzero"` // 0: the registry has given none yet
	Status   Status    `json:"status" rule:"enum=online|away"`
	Since    Timestamp `json:"since"`
}

func (o *Opened) check() error {
	return first(
		CheckID(o.UserID), CheckID(o.DeviceID), CheckID(o.PID), CheckID(o.SocketID),
		check("status", o.Status == StatusOnline || o.Status == StatusAway, "must be one of online, away"),
	)
}

// View is one connection that has one chat open.
type View struct {
	ChatID string `json:"chatId" rule:"id"`
	UserID string `json:"userId" rule:"id"`
	PID    string `json:"pid" rule:"id"`
	Fence  uint64 `json:"fence"`
}

func (v *View) check() error { return first(CheckID(v.ChatID), CheckID(v.UserID), CheckID(v.PID)) }

// Watch is users whose presence one connection has subscribed.
type Watch struct {
	UserID  string   `json:"userId" rule:"id"`
	PID     string   `json:"pid" rule:"id"`
	Fence   uint64   `json:"fence"`
	UserIDs []string `json:"userIds" rule:"n=..1000 each=id"`
}

func (w *Watch) check() error {
	return first(
		CheckID(w.UserID), CheckID(w.PID),
		check("userIds", len(w.UserIDs) <= MaxSubscriptions, "must be at most 1000"),
		each("userIds", w.UserIDs, CheckID),
	)
}

// ReportRes is its answer.
type ReportRes struct {
	Fences     []Fenced `json:"fences,omitzero"`     // of those opened without one
	Superseded []string `json:"superseded,omitzero"` // pids of those opened that live elsewhere by now: they are to be closed
}

// Fenced is the fence that a connection was given.
type Fenced struct {
	PID   string       `json:"pid"`
	Fence uint64       `json:"fence"`
	Own   *OwnPresence `json:"own,omitzero"` // what its user has set
}

// LeaseReq says that a gateway lives. A gateway has a new name after each start,
// and whenever its lease has been lost.
type LeaseReq struct {
	Gateway string `json:"gateway" rule:"id"`
	Begin   bool   `json:"begin,omitzero"` // make the lease; without it a lost one stays lost
	End     bool   `json:"end,omitzero"`   // the gateway stops, and has no connections any more
}

// Validate checks every field; the error names the first that is wrong.
func (r *LeaseReq) Validate() error {
	return first(
		field("gateway", CheckID(r.Gateway)),
		check("end", !r.Begin || !r.End, "must not stand with begin"),
	)
}

// LeaseRes is its answer.
type LeaseRes struct {
	Known bool `json:"known"`          // the lease stands
	Swept bool `json:"swept,omitzero"` // it was taken for dead: clients may have seen its users leave
}

// ViewersReq asks who has a chat open, whatever their membership.
type ViewersReq struct {
	ChatID string `json:"chatId" rule:"id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *ViewersReq) Validate() error { return field("chatId", CheckID(r.ChatID)) }

// ViewersRes is its answer: without the invisible, at most MaxViewers of them in
// the order of their ids' tokens, and how many there are.
type ViewersRes struct {
	UserIDs []string `json:"userIds"`
	Count   int      `json:"count"`
}

// SharedChatsReq asks which of some users share a chat with one.
type SharedChatsReq struct {
	UserID  string   `json:"userId" rule:"id"`
	UserIDs []string `json:"userIds" rule:"n=1..100 each=id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *SharedChatsReq) Validate() error {
	return first(field("userId", CheckID(r.UserID)), checkUserIDs(r.UserIDs))
}

// SharedChatsRes is its answer.
type SharedChatsRes struct {
	UserIDs []string `json:"userIds"` // those who do
}
