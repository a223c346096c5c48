package projection

import (
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

// SentFor is how long a send stays idempotent (CONTRACT §4.1).
const SentFor = 24 * time.Hour

// sentPeriod is how long one hash collects the records of a chat's sends. Each
// is looked for in the current one and the one before, so a period is what is
// promised and an hour more: clocks differ.
const sentPeriod = SentFor + time.Hour

// sentLifetime is how long such a hash lives from its first record on: until
// the period ends, and then until the last record in it is old enough.
const sentLifetime = sentPeriod + SentFor + time.Hour

func sentPeriodOf(t time.Time) uint64 { return uint64(t.Unix()) / uint64(sentPeriod/time.Second) }

// Keys are one chat's keys, made once for many operations, and held as go-redis
// wants them.
type Keys struct {
	Chat                             proto.Token
	members, cursors, expiring, gone any
	// The newest block of each kind that was asked for.
	index, sent, sentBefore atomic.Pointer[numbered]
}

type numbered struct {
	number uint64
	key    any
}

// KeysOf makes a chat's keys.
func KeysOf(chat proto.Token) *Keys {
	return &Keys{
		Chat: chat, members: proto.MembersKey(chat), cursors: proto.CursorsKey(chat),
		expiring: proto.ExpiringKey(chat), gone: proto.GoneKey(chat),
	}
}

// cached is the key of a number, made by name if another stood there.
func (k *Keys) cached(at *atomic.Pointer[numbered], number uint64, name func(proto.Token, uint64) string) any {
	if n := at.Load(); n != nil && n.number == number {
		return n.key
	}
	n := &numbered{number, name(k.Chat, number)}
	at.Store(n)
	return n.key
}

func (k *Keys) indexOf(seq uint64) any {
	return k.cached(&k.index, seq/proto.IndexBlock, func(c proto.Token, block uint64) string {
		return proto.IndexKey(c, block*proto.IndexBlock)
	})
}

func (k *Keys) sentIn(period uint64) any { return k.cached(&k.sent, period, proto.SentKey) }

func (k *Keys) sentPrior(period uint64) any { return k.cached(&k.sentBefore, period-1, proto.SentKey) }
