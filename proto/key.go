package proto

import (
	"encoding/base64"
	"strconv"
)

// Redis keys, all of them. A chat's keys share the hash tag {c:<chat>}, a
// user's {u:<user>}, so that a script may touch several in a cluster. All of
// this is working state: chat rebuilds its own from the log, limits and
// idempotency records may be lost.

// ChatKey is the hash of a chat: version, name, avatar, description, settings.
func ChatKey(chat Token) string { return "{c:" + string(chat) + "}" }

// MembersKey is the hash user token → membership of a chat, and MembersMeta →
// position of the change that it is as of.
func MembersKey(chat Token) string { return "{c:" + string(chat) + "}:members" }

// MembersMeta is a field of MembersKey: no token has a dot.
const MembersMeta = ".meta"

// IndexBlock is how many messages one index key holds.
const IndexBlock = 4096

// IndexKey is a packed array: the stream sequence of each message of a chat,
// eight bytes big-endian at 8·(seq mod IndexBlock) of block seq / IndexBlock.
func IndexKey(chat Token, seq uint64) string {
	return "{c:" + string(chat) + "}:index:" + strconv.FormatUint(seq/IndexBlock, 10)
}

// SentKey is the hash idempotency key → record (stream sequence, content hash)
// of a chat's sends in one period of time. A record with a life of its own would
// be a key, with a key's 100 bytes and Redis's dearest write.
func SentKey(chat Token, period uint64) string {
	return "{c:" + string(chat) + "}:sent:" + strconv.FormatUint(period, 10)
}

// CursorsKey is the hash of where everybody is in a chat: CursorHead → head ("seq
// position"), "<user token>" → read seq, "<user token>/<device token>" → delivered seq.
func CursorsKey(chat Token) string { return "{c:" + string(chat) + "}:cursors" }

// CursorHead is the head's field: no token has a dot.
const CursorHead = ".head"

// AwayKey is the hash user token → past memberships of a user who was removed from a chat:
// "<first joined> <left>-<joined> … <left>-", stream positions.
func AwayKey(chat Token) string { return "{c:" + string(chat) + "}:away" }

// EditsKey is the hash seq → stream position of a message's newest edit, and
// under "upto" the position up to which the edits of the chat are here.
func EditsKey(chat Token) string { return "{c:" + string(chat) + "}:edits" }

// GoneKey is the sorted set of the seqs of a chat that are deleted for everyone, scored by
// seq. It is as of the position that EditsKey names.
func GoneKey(chat Token) string { return "{c:" + string(chat) + "}:gone" }

// ExpiringKey is the sorted set of the seqs of a chat's messages that expire and are not
// in GoneKey, scored by when, in Unix milliseconds.
func ExpiringKey(chat Token) string { return "{c:" + string(chat) + "}:expiring" }

// HiddenMarkKey says how far a user's log has been read for what the user has
// hidden: "position" while it is being read, "position whole" afterwards.
func HiddenMarkKey(user Token) string { return "{u:" + string(user) + "}:hidden" }

// HiddenKey is the hash seq → when of a chat's messages that a user has hidden.
func HiddenKey(user, chat Token) string { return "{u:" + string(user) + "}:hidden:" + string(chat) }

// TurnKey is there for as long as an author of a chat is not to be told of
// something again: so it holds over all instances.
func TurnKey(chat, author Token, what string) string {
	return "{c:" + string(chat) + "}:turn:" + what + ":" + string(author)
}

// UserChatsKey is the sorted set of a user's chats (tokens), scored 2·version + 1
// for a member, 2·version for a former one: an older change never undoes a newer.
func UserChatsKey(user Token) string { return "{u:" + string(user) + "}:chats" }

// DevicesKey is the hash device token → stream position where its queue begins.
func DevicesKey(user Token) string { return "{u:" + string(user) + "}:devices" }

// ProjectionKey marks that Redis holds the projection of the log with this
// epoch; without it, chat rebuilds.
func ProjectionKey(service, epoch string) string { return "projection:" + service + ":" + epoch }

// Presence's keys. All of it may be lost with Redis: gateways tell it anew, and
// relations are read from the log again.

// PresenceKey is a user's record: connections, what the user has set, what others
// were told. It is replaced only where it is still what was read.
func PresenceKey(user Token) string { return "{u:" + string(user) + "}:presence" }

// SessionKey is the hash of one session, by its pid: its fence and device, "v:<chat>"
// for each chat it has open and "w:<user>" for each presence it has subscribed. It
// lives for a day after its connection has ended, or has gone on under another pid,
// which it then names.
func SessionKey(user, pid Token) string {
	return "{u:" + string(user) + "}:session:" + string(pid)
}

// RelationsKey is what the log says of a user's contacts and blocks, and as of where.
func RelationsKey(user Token) string { return "{u:" + string(user) + "}:relations" }

// ViewersKey is the hash user token → "<pid> …" of the sessions that have a chat open.
func ViewersKey(chat Token) string { return "viewers:{c:" + string(chat) + "}" }

// PresenceDueKey is the sorted set of users whose record is to be looked at,
// scored by when, in Unix milliseconds.
const PresenceDueKey = "presence:due"

// PresenceHiddenKey is the set of users who are invisible.
const PresenceHiddenKey = "presence:hidden"

// PresenceKeeperKey is the lock of the one instance that looks at dead gateways.
const PresenceKeeperKey = "presence:keeper"

// PresenceLifeKey says since when the registry has lost nothing, in Unix milliseconds.
const PresenceLifeKey = "presence:life"

// PresenceGatewaysKey is the sorted set of gateways, scored by when each was last
// heard of; PresenceKnownKey is the set of those whose connections are kept.
const (
	PresenceGatewaysKey = "presence:gateways"
	PresenceKnownKey    = "presence:known"
)

// GatewaySessionsKey is the set "<user>/<pid>" of one gateway's connections.
func GatewaySessionsKey(gateway Token) string { return "{g:" + string(gateway) + "}:sessions" }

// GatewaySweptKey says that a gateway has been taken for dead.
func GatewaySweptKey(gateway Token) string { return "{g:" + string(gateway) + "}:swept" }

// Signaling's keys. All of it can be made again from the log, but for what is
// waiting for a device that is not there.

// CallKey is a call's record, and the position of its last transition in the log.
func CallKey(call Token) string { return "{k:" + string(call) + "}" }

// CallWaitingKey is the list of what one user of a call has to be told once they
// are there: candidates and descriptions, oldest first.
func CallWaitingKey(call, user Token) string { return "{k:" + string(call) + "}:for:" + string(user) }

// CallRequestKey stands for one request within a call that has been carried out, by the
// request's id: a repeat finds it.
func CallRequestKey(call Token, request string) string {
	return "{k:" + string(call) + "}:req:" + request
}

// UserCallKey is the call that a user is in, or that there is none.
func UserCallKey(user Token) string { return "{u:" + string(user) + "}:call" }

// CallHistoryKey is the sorted set of a user's calls, scored by when they began.
func CallHistoryKey(user Token) string { return "{u:" + string(user) + "}:calls" }

// CallRecordsKey is the hash call token → "rank position CallRecord" of a user's
// calls, and ".mark" → how far it has the user's log: no token has a dot.
func CallRecordsKey(user Token) string { return "{u:" + string(user) + "}:calls:records" }

// Notify's keys: all of it is made again from the log.

// NoticesKey is of one user: "at" says as of which entry of the log the rest is
// ("epoch position"), "order" is the sorted set notification id → position,
// "unread" the set of those unread, "bodies" the hash id → Notification.
func NoticesKey(user Token, what string) string { return "{u:" + string(user) + "}:notices:" + what }

// PushKey is a user's push devices and preferences, as of an entry of the log.
func PushKey(user Token) string { return "{u:" + string(user) + "}:push" }

// PushSentKey is what was pushed to a user: the sorted set collapse key → position in
// the log as of which the newest push under it was decided, and a half where that took
// back what was shown; and "" → which log those positions are of.
func PushSentKey(user Token) string { return "{u:" + string(user) + "}:pushed" }

// Reactions' keys: all of it is made again from the log.

// ReactionsAtKey says as of which entry of a chat's reactions Redis is: "epoch position".
func ReactionsAtKey(chat Token) string { return "{c:" + string(chat) + "}:reactions" }

// ReactionKey is of one message, as a log with the mark's epoch has it: "when" is the
// hash "<user>/<reaction>" → Unix milliseconds, "order" the sorted set of the same
// by position, "counts" the hash reaction → how many, "users" the hash user → how many.
func ReactionKey(chat Token, epoch string, message Token, what string) string {
	return "{c:" + string(chat) + "}:reactions:" + epoch + ":" + string(message) + ":" + what
}

// LimitKey is one user's rate limit for one event.
func LimitKey(user Token, rule string) string { return "{u:" + string(user) + "}:limit:" + rule }

// IdempotencyRecordKey is the record of one idempotency key of a service's row: who runs for
// it, or the answer that is kept. The key, anything that CheckIdempotencyKey
// accepts, is encoded injectively, since it may hold braces.
func IdempotencyRecordKey(service, subject, key string) string {
	return "{i:" + service + ":" + subject + ":" + base64.RawURLEncoding.EncodeToString([]byte(key)) + "}"
}
