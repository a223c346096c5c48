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

// EditsKey is the hash seq → stream position of a message's newest edit, and
// under "at" the position up to which the edits of the chat are here.
func EditsKey(chat Token) string { return "{c:" + string(chat) + "}:edits" }

// HiddenMarkKey says how far a user's log has been read for what the user has
// hidden: "position" while it is being read, "position whole" afterwards.
func HiddenMarkKey(user Token) string { return "{u:" + string(user) + "}:hidden" }

// HiddenKey is the set of a chat's seqs that a user has hidden.
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

// ViewersKey is the hash user token → "<socket>@<gateway> …" of those who have a
// chat open. Not of the projection: it is lost with Redis, and gateways tell it anew.
func ViewersKey(chat Token) string { return "viewers:{c:" + string(chat) + "}" }

// ViewGatewaysKey is the set of gateways whose viewers are kept.
const ViewGatewaysKey = "view:gateways"

// ViewSweeperKey is the lock of the one instance that removes dead gateways' viewers.
const ViewSweeperKey = "view:sweeper"

// ViewLeaseKey stands as long as a gateway says that it lives.
func ViewLeaseKey(gateway Token) string { return "{v:" + string(gateway) + "}:lease" }

// ViewSweptKey says that a gateway has been taken for dead.
func ViewSweptKey(gateway Token) string { return "{v:" + string(gateway) + "}:swept" }

// ViewsKey is the set "<chat>/<user>/<socket>" of one gateway's viewers.
func ViewsKey(gateway Token) string { return "{v:" + string(gateway) + "}:views" }

// LimitKey is one user's rate limit for one event.
func LimitKey(user Token, rule string) string { return "{u:" + string(user) + "}:limit:" + rule }

// IdempotencyRecordKey is the record of one idempotency key of a service's row: who runs for
// it, or the answer that is kept. The key, anything that CheckIdempotencyKey
// accepts, is encoded injectively, since it may hold braces.
func IdempotencyRecordKey(service, subject, key string) string {
	return "{i:" + service + ":" + subject + ":" + base64.RawURLEncoding.EncodeToString([]byte(key)) + "}"
}
