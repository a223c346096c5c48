package proto

import (
	"fmt"
	"strings"
)

// Kind is the last token of a chat's log subject. Each kind has one owning
// service; NATS permissions say so.
type Kind string

const (
	KindMessage  Kind = "msg"   // chat: messages
	KindMeta     Kind = "meta"  // chat: membership, name, settings
	KindReaction Kind = "react" // reactions
	KindEdit     Kind = "edit"  // chat: edits and deletions of messages
)

// Kinds of a user's subjects.
const (
	KindLog       Kind = "log"   // stored: everything durable that concerns one user
	KindEphemeral Kind = "eph"   // never stored: live notices, at most once
	KindRelations Kind = "rel"   // presence: contacts and blocks, stored; for services alone
	KindStatus    Kind = "stat"  // presence: the status that a user has set; for services and gateways
	KindNotice    Kind = "note"  // notify: notifications, and what became of them
	KindPush      Kind = "push"  // notify: devices and preferences; for services alone
	KindRing      Kind = "ring"  // signaling: incoming and missed calls
	KindCalls     Kind = "calls" // signaling: a user's calls as CallRecords; for services alone
)

// Subjects of the log. `live.` is the stream's RePublish of `ev.`: the same
// body after it has been stored, with HeaderStreamSeq and HeaderStreamLast.
const (
	LogPrefix  = "ev."
	LivePrefix = "live."
	// AllChatMeta matches every live membership change; each gateway and chat
	// instance listens to it, so that no second list of members can disagree.
	AllChatMeta = "live.chat.*." + string(KindMeta)
	// AllChatMetaLog matches every membership change in the log.
	AllChatMetaLog = "ev.chat.*." + string(KindMeta)
)

// Headers that JetStream adds to a republished or directly fetched entry.
const (
	HeaderStreamSeq  = "Nats-Sequence"
	HeaderStreamLast = "Nats-Last-Sequence" // the previous entry of the same subject, 0 for none
	HeaderPending    = "Nats-Num-Pending"   // how many entries follow, as of the request; of direct gets in batches
)

// ChatLog is the log subject of one kind of one chat.
func ChatLog(chat Token, kind Kind) string { return "ev.chat." + string(chat) + "." + string(kind) }

// LiveOf is the subject on which the live copy comes of what is stored under a log subject.
func LiveOf(log string) string { return LivePrefix + strings.TrimPrefix(log, LogPrefix) }

// ChatLogAll matches every kind of one chat in the log.
func ChatLogAll(chat Token) string { return "ev.chat." + string(chat) + ".*" }

// UserLog is the log subject of one user.
func UserLog(user Token) string { return "ev.user." + string(user) + "." + string(KindLog) }

// ChatLive matches the live copies of everything in one chat.
func ChatLive(chat Token) string { return "live.chat." + string(chat) + ".*" }

// ChatEphPrefix begins the subjects of what is sent and not stored.
const ChatEphPrefix = "eph.chat."

// ChatEph carries what concerns those who have a chat open: typing, and who
// opens and closes it. Core NATS: at most once, never replayed.
func ChatEph(chat Token) string { return ChatEphPrefix + string(chat) }

// UserLogAll matches every kind of one user in the log, also those that are for
// services alone.
func UserLogAll(user Token) string { return "ev.user." + string(user) + ".*" }

// UserLive matches all that is live for one user: the copies of UserLogAll, and
// what comes on UserEphemeral. One subscription serves both.
func UserLive(user Token) string { return "live.user." + string(user) + ".*" }

// UserEphemeral is where services publish events for one user that are not
// stored: client-ready bodies with HeaderEvent, and HeaderSocket for a socket
// that must not get it. No stream has it, so nothing is ever replayed from it.
func UserEphemeral(user Token) string {
	return "live.user." + string(user) + "." + string(KindEphemeral)
}

// UserRelations is the log subject of a user's contacts and blocks: the newest
// entry is all of them.
func UserRelations(user Token) string { return "ev.user." + string(user) + "." + string(KindRelations) }

// UserStatus is the log subject of the status that a user has set: the newest entry, an
// OwnPresence, is all of it.
func UserStatus(user Token) string { return "ev.user." + string(user) + "." + string(KindStatus) }

// UserRing is the log subject of the calls that ring for a user, and that were missed.
func UserRing(user Token) string { return "ev.user." + string(user) + "." + string(KindRing) }

// UserNotices is the log subject of a user's notifications: each as it came
// (notification:new, for clients), and what was read and cleared (for services alone).
func UserNotices(user Token) string { return "ev.user." + string(user) + "." + string(KindNotice) }

// UserPush is the log subject of a user's push devices and preferences: the newest
// entry is all of them.
func UserPush(user Token) string { return "ev.user." + string(user) + "." + string(KindPush) }

// UserCalls is the log subject of a user's calls: one entry when a call begins, one
// when it is over for the user.
func UserCalls(user Token) string { return "ev.user." + string(user) + "." + string(KindCalls) }

// CallLog is the log subject of one call: an entry a transition, each the whole call.
func CallLog(call Token) string { return "ev.call." + string(call) + "." + string(KindLog) }

// PresenceEphPrefix begins the subjects of presence.
const PresenceEphPrefix = "eph.presence."

// PresenceEph carries every change of how a user is there, as a Presence with
// HeaderEvent, to the gateways where somebody has subscribed it; and
// RecheckPresence. Core NATS: at most once, never replayed.
func PresenceEph(user Token) string { return PresenceEphPrefix + string(user) }

// ReceiptLog holds one (chat, user)'s newest cursors: one message a subject.
func ReceiptLog(chat, user Token) string { return "rc.chat." + string(chat) + "." + string(user) }

// DeviceLog holds one device's record: where its offline queue begins.
func DeviceLog(user, device Token) string { return "rc.device." + string(user) + "." + string(device) }

// SeenLog is when a user was last seen, as presence keeps it for the loss of Redis: one
// message a subject.
func SeenLog(user Token) string { return "rc.seen." + string(user) }

// RegistryLives is over which times presence's registry has lost nothing: one message.
const RegistryLives = "rc.alive.presence"

// CanaryLog is where a service tries whether the log still takes entries; it
// concerns nobody, and RECEIPTS keeps the newest only.
func CanaryLog(service string) string { return "rc.canary." + service }

// Timer is the subject of one schedule of the stream WORK: what is published
// there comes out of a queue at its time. The same name again replaces it.
func Timer(service string, name Token) string { return "timer." + service + "." + string(name) }

// GatewayInbox is the subject space of one gateway instance.
func GatewayInbox(gateway Token, verb string) string { return "edge." + string(gateway) + "." + verb }

// ParseChatSubject splits `ev.chat.<chat>.<kind>` or its live copy.
func ParseChatSubject(subject string) (chat Token, kind Kind, err error) {
	chat, kind, ok := parseSubject(subject, "live.chat.", "ev.chat.")
	if !ok {
		return "", "", fmt.Errorf("parse subject %q: not a chat's", subject)
	}
	return chat, kind, nil
}

// ParseUserSubject splits `ev.user.<user>.log`, its live copy, or
// `live.user.<user>.eph`.
func ParseUserSubject(subject string) (user Token, kind Kind, err error) {
	user, kind, ok := parseSubject(subject, "live.user.", "ev.user.")
	if !ok {
		return "", "", fmt.Errorf("parse subject %q: not a user's", subject)
	}
	return user, kind, nil
}

// ParseReceiptSubject splits the subject of ReceiptLog.
func ParseReceiptSubject(subject string) (chat, user Token, err error) {
	chat, kind, ok := parseSubject(subject, "rc.chat.", "rc.chat.")
	if !ok {
		return "", "", fmt.Errorf("parse subject %q: no receipts", subject)
	}
	return chat, Token(kind), nil
}

func parseSubject(subject, live, log string) (owner Token, kind Kind, ok bool) {
	rest, ok := strings.CutPrefix(subject, live)
	if !ok {
		rest, ok = strings.CutPrefix(subject, log)
	}
	o, k, two := strings.Cut(rest, ".")
	return Token(o), Kind(k), ok && two && o != "" && k != "" && !strings.Contains(k, ".")
}
