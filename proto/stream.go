package proto

import "time"

// Stream is one JetStream stream of the mesh. Streams are provisioned by one
// role; every service checks at start that what it finds is what stands here.
type Stream struct {
	Name     string
	Subjects []string
	// RePublish, when set, sends a stored entry on with From's prefix replaced.
	RePublishFrom, RePublishTo string
	MaxMsgsPerSubject          int64
	// Dedup is the Nats-Msg-Id window. Longer idempotency is the owner's record.
	Dedup time.Duration
	// MaxBytes is the default bound; DiscardNew makes a full stream an error.
	MaxBytes int64
	// Queue: an entry is for one consumer, and gone once it is acked.
	Queue bool
	// Schedules: an entry may name the moment at which it comes out under another
	// subject. NATS allows that only where a full stream drops its oldest entries.
	Schedules bool
	Purpose   string
}

// MetadataEpoch is the stream metadata key of a stream's epoch: 32 random hex
// digits made when it was created. Another epoch is another log, and every
// offset into the old one is void.
const MetadataEpoch = "sup-epoch"

// Events is the log: everything durable, appended once, read by position.
var Events = Stream{
	Name: "EVENTS", Subjects: []string{"ev.chat.*.*", "ev.user.*.*", "ev.call.*.*"},
	RePublishFrom: "ev.>", RePublishTo: "live.>",
	Dedup: 2 * time.Minute, MaxBytes: 16 << 30,
	Purpose: "messages, reactions, membership, calls, what concerns one user",
}

// Receipts holds the newest cursors, one entry a subject: it never outgrows
// the number of (chat, user) pairs.
var Receipts = Stream{
	Name: "RECEIPTS", Subjects: []string{"rc.chat.*.*", "rc.device.*.*", "rc.canary.*", "rc.seen.*", "rc.alive.*"},
	MaxMsgsPerSubject: 1, Dedup: 2 * time.Minute, MaxBytes: 4 << 30,
	Purpose: "delivered and read cursors, devices, when users were last seen",
}

// Work holds what some service still has to do: queues, the timers that feed
// them, and the dead letters of what could not be done. A timer takes about
// 300 bytes: the bound is 14 million of them.
var Work = Stream{
	Name: "WORK", Subjects: []string{"work.*.*", "timer.*.*", "dead.*.*"},
	Dedup: 2 * time.Minute, MaxBytes: 4 << 30, Queue: true, Schedules: true,
	Purpose: "work queues, timers, dead letters",
}

// Streams is every stream of the mesh.
var Streams = []Stream{Events, Receipts, Work}

// Queue is one work queue of WORK. Its entries are done at least once, by any
// instance of its service.
type Queue struct {
	Name    string // of its durable consumer: <service>-<verb>
	Subject string // work.<service>.<verb>
	// Dead gets what failed MaxDeliver times, with the error as a header.
	Dead string
	// Timeout is how long one entry may take before another instance gets it. An
	// instance that dies is noticed sooner.
	Timeout    time.Duration
	MaxDeliver int
	// MaxPending is how many may be under way at once, over all instances.
	MaxPending int
	Purpose    string
}

// ExpireMessages deletes messages whose ttlSec is over.
var ExpireMessages = Queue{
	Name: "chat-expire", Subject: "work.chat.expire", Dead: "dead.chat.expire",
	Timeout: 30 * time.Second, MaxDeliver: 30, MaxPending: 256,
	Purpose: "messages whose time is over",
}

// CallTimers is what a call waits for: its ringing's end, a side that does not
// return, and the second look after each transition. Its jobs take milliseconds,
// and one that dies with its instance must not hold up a ringing's end.
var CallTimers = Queue{
	Name: "signaling-timer", Subject: "work.signaling.timer", Dead: "dead.signaling.timer",
	Timeout: time.Second, MaxDeliver: 60, MaxPending: 256,
	Purpose: "calls whose time has come",
}

// Queues is every work queue of the mesh.
var Queues = []Queue{ExpireMessages, CallTimers, NotifyRequests, PushJobs}
