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
	Purpose  string
}

// MetadataEpoch is the stream metadata key of a stream's epoch: 32 random hex
// digits made when it was created. Another epoch is another log, and every
// offset into the old one is void.
const MetadataEpoch = "sup-epoch"

// Events is the log: everything durable, appended once, read by position.
var Events = Stream{
	Name: "EVENTS", Subjects: []string{"ev.chat.*.*", "ev.user.*.*"},
	RePublishFrom: "ev.>", RePublishTo: "live.>",
	Dedup: 2 * time.Minute, MaxBytes: 16 << 30,
	Purpose: "messages, reactions, membership, what concerns one user",
}

// Receipts holds the newest cursors, one entry a subject: it never outgrows
// the number of (chat, user) pairs.
var Receipts = Stream{
	Name: "RECEIPTS", Subjects: []string{"rc.chat.*.*", "rc.device.*.*", "rc.canary.*"},
	MaxMsgsPerSubject: 1, Dedup: 2 * time.Minute, MaxBytes: 4 << 30,
	Purpose: "delivered and read cursors, devices",
}

// Streams is every stream of the mesh.
var Streams = []Stream{Events, Receipts}
