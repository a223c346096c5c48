package proto

import (
	"encoding/base64"
	"strconv"
)

// Redis keys, all of them. A chat's keys share the hash tag {c:<chat>}, a
// user's {u:<user>}, so that a script may touch several in a cluster. All of
// this is working state: chat rebuilds its own from the log, limits and
// idempotency records may be lost.

// ChatKey is the hash of a chat: head ("seq position"), version, name, avatar,
// description, settings.
func ChatKey(chat Token) string { return "{c:" + string(chat) + "}" }

// MembersKey is the hash user token → membership of a chat.
func MembersKey(chat Token) string { return "{c:" + string(chat) + "}:members" }

// IndexBlock is how many messages one index key holds.
const IndexBlock = 4096

// IndexKey is a packed array: the stream sequence of each message of a chat,
// eight bytes big-endian at 8·(seq mod IndexBlock) of block seq / IndexBlock.
func IndexKey(chat Token, seq uint64) string {
	return "{c:" + string(chat) + "}:index:" + strconv.FormatUint(seq/IndexBlock, 10)
}

// SentKey is the idempotency record of one send: stream sequence and content hash.
func SentKey(chat Token, key string) string { return "{c:" + string(chat) + "}:sent:" + key }

// CursorsKey is the hash "<user token>/<device token>" → delivered seq of a chat.
func CursorsKey(chat Token) string { return "{c:" + string(chat) + "}:cursors" }

// UserChatsKey is the sorted set of a user's chats (tokens), scored 2·version + 1
// for a member, 2·version for a former one: an older change never undoes a newer.
func UserChatsKey(user Token) string { return "{u:" + string(user) + "}:chats" }

// DevicesKey is the hash device token → stream position where its queue begins.
func DevicesKey(user Token) string { return "{u:" + string(user) + "}:devices" }

// ProjectionKey marks that Redis holds the projection of the log with this
// epoch; without it, chat rebuilds.
func ProjectionKey(service, epoch string) string { return "projection:" + service + ":" + epoch }

// LimitKey is one user's rate limit for one event.
func LimitKey(user Token, rule string) string { return "{u:" + string(user) + "}:limit:" + rule }

// IdempotencyRecordKey is the record of one idempotency key of a service's row: who runs for
// it, or the answer that is kept. The key, anything that CheckIdempotencyKey
// accepts, is encoded injectively, since it may hold braces.
func IdempotencyRecordKey(service, subject, key string) string {
	return "{i:" + service + ":" + subject + ":" + base64.RawURLEncoding.EncodeToString([]byte(key)) + "}"
}
