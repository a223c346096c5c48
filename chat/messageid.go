package chat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"supmesh.dev/proto"
)

// messageIDPrefix opens every message id (CONTRACT §3).
const messageIDPrefix = "msg_"

// maxSeq is the highest seq an id can hold: 40 bits.
const maxSeq = 1<<40 - 1

// messageID is msg_ and a ULID of 48 bits of milliseconds, 40 bits of seq and
// 40 bits of mark: it sorts by time, and leads back to the message's place
// without a lookup table of ids.
func messageID(at time.Time, seq uint64, mark [5]byte) string {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(at)) // fails after the year 10889
	var packed [8]byte
	binary.BigEndian.PutUint64(packed[:], seq)
	copy(id[6:11], packed[3:])
	copy(id[11:], mark[:])
	var text [len(messageIDPrefix) + ulid.EncodedSize]byte
	copy(text[:], messageIDPrefix)
	_ = id.MarshalTextTo(text[len(messageIDPrefix):]) // fails for another length
	return string(text[:])
}

// parseMessageID gives the time and seq inside an id; ok is false for what
// messageID cannot have made.
func parseMessageID(s string) (at time.Time, seq uint64, ok bool) {
	rest, found := strings.CutPrefix(s, messageIDPrefix)
	if !found {
		return time.Time{}, 0, false
	}
	id, err := ulid.ParseStrict(rest)
	if err != nil || id.String() != rest {
		return time.Time{}, 0, false
	}
	var packed [8]byte
	copy(packed[3:], id[6:11])
	return ulid.Time(id.Time()).UTC(), binary.BigEndian.Uint64(packed[:]), true
}

// identity is what a send is known by.
type identity struct {
	key     string // the log's idempotency key
	content string // hash of what the client sent; empty without a tempId
	mark    [5]byte
}

// identify derives a send's identity: the same on every repeat of a tempId by
// this user in this chat. Without a tempId the request's own id stands in, so
// that the repeats which a gateway makes by itself are one message too.
func identify(user string, r *proto.SendMessageReq, requestID string) (id identity) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	kind, name := "request", requestID
	if r.TempID != "" {
		kind, name = "tempId", r.TempID
		*scratch = appendContent((*scratch)[:0], r)
		sum := sha256.Sum256(*scratch)
		id.content = hashText(sum[:16])
	}
	*scratch = appendTexts((*scratch)[:0], kind, user, r.ChatID, name)
	sum := sha256.Sum256(*scratch)
	id.key = hashText(sum[:16])
	copy(id.mark[:], sum[len(sum)-len(id.mark):])
	return id
}

// hashText is half a hash as 22 characters.
func hashText(half []byte) string {
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], half)
	return string(text[:])
}

// scratches are buffers to hash from: a message may have 64 KiB.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// appendContent writes, injectively, every field that makes two sends the same message.
func appendContent(dst []byte, r *proto.SendMessageReq) []byte {
	dst = appendTexts(dst, r.EncryptedContent, messageType(r), r.ReplyToID, string(metadata(r)), r.ThreadID)
	if f := r.ForwardFrom; f != nil {
		dst = appendTexts(dst, f.ChatID, f.MessageID, f.SenderID)
	} else {
		dst = appendTexts(dst)
	}
	dst = appendTexts(dst, r.Mentions...)
	return binary.BigEndian.AppendUint64(dst, uint64(proto.ValueOr(r.TTLSec, 0)))
}

// appendTexts writes how many texts there are, and each behind its length.
func appendTexts(dst []byte, texts ...string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(texts)))
	for _, t := range texts {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(t)))
		dst = append(dst, t...)
	}
	return dst
}

func messageType(r *proto.SendMessageReq) string {
	if r.MessageType == "" {
		return "text"
	}
	return r.MessageType
}

// metadata is the request's, with an explicit null as none.
func metadata(r *proto.SendMessageReq) proto.Raw {
	if string(r.Metadata) == "null" {
		return nil
	}
	return r.Metadata
}
