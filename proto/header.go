package proto

// Headers on requests. Only gateways and the admin side may set HeaderActor:
// NATS permissions say so.
const (
	HeaderActor          = "Sup-Actor"           // who acts, see Actor.Header
	HeaderDeadline       = "Sup-Deadline"        // absolute, Unix milliseconds; a service drops a request past it
	HeaderRequestID      = "Sup-Request-Id"      // the requestId of the ack: the trace id, 32 hex digits
	HeaderIdempotencyKey = "Sup-Idempotency-Key" // of a backend's request, see CheckIdempotencyKey
	HeaderTrace          = "traceparent"         // W3C Trace Context
	HeaderError          = "Sup-Error"           // the Code on a failure reply; absent on success
	HeaderReplayed       = "Sup-Replayed"        // "true" on the kept answer to an earlier request with this key
)

// Headers on what is never stored (eph.*), beside HeaderEvent.
const (
	HeaderUser = "Sup-User" // token of the acting user, whose own sockets are left out
	HeaderTo   = "Sup-To"   // the one socket that gets it
)

// AskTyping is the HeaderEvent with which a gateway asks the others, on eph.chat,
// who types there; its body is the subject for their answers. No client sees it.
const AskTyping = "typing:ask"

// Words between services and gateways that no client sees, as HeaderEvent.
const (
	// RecheckPresence on eph.presence says that who may see this user has
	// changed: each gateway asks again for those here who have subscribed it.
	RecheckPresence = "presence:recheck"
	// ProbeConnections on live.user.<user>.eph says that the user has too many connections: each
	// gateway closes those of the user that do not answer a ping soon.
	ProbeConnections = "connections:probe"
	// TakeoverEvent goes to a gateway's inbox of this verb, with a Takeover.
	TakeoverEvent = "takeover"
)

// Headers on entries of the log, and so on their republished copies.
const (
	HeaderEvent   = "Sup-Event"   // the client event's name, a row of Events
	HeaderSeq     = "Sup-Seq"     // a message's dense seq in its chat; of an edit, its message's
	HeaderSocket  = "Sup-Socket"  // the socket that must not get an echo
	HeaderExpires = "Sup-Expires" // when nobody needs it any more, in Unix milliseconds
	HeaderContent = "Sup-Content" // hash of the content behind an idempotency key
)

// HeaderDeadReason is on a dead letter: the error that ended the tries.
const HeaderDeadReason = "Sup-Dead-Reason"
