package projection

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
)

// Stored is one message as the projection needs it.
type Stored struct {
	Keys          *Keys
	Before        Head // the message before it; zero: it is the first
	Seq, Position uint64
	At            time.Time
	User, Device  proto.Token // the sender
	Key, Content  string      // idempotency; empty Key: none
}

// Stored records a message; done is called with the outcome, from the lane. A
// message that does not follow the head is left for Heal, which is no error.
func (s *Store) Stored(m Stored, done func(error)) {
	r := s.records.get()
	r.owner = s.records
	r.fill(&m, done)
	s.pipe.SubmitLater(string(m.Keys.Chat), r)
}

// record is what Stored writes, a pipeline.Op. As in question, its command is
// made once, and what its arguments point to is filled in.
type record struct {
	owner *reused[record]
	done  func(error)
	use   [1]redis.Cmder
	keys  []any // of the arguments

	before, seq, head, offset, packed string
	user, device, key, sent           string
	text                              []byte // the texts above are cut from it
}

// sentMark is a field of every hash of records: see storedScript.
const sentMark = "."

var sentLifetimeSeconds any = strconv.Itoa(int(sentLifetime / time.Second))

func newRecord() *record {
	r := new(record)
	args := []any{
		"evalsha", storedLua.Hash(), "3", "", "", "",
		&r.before, &r.seq, &r.head, &r.offset, &r.packed, &r.user, &r.device, &r.key, &r.sent, sentLifetimeSeconds,
	}
	r.keys, r.use[0] = args[3:6], redis.NewCmd(context.Background(), args...)
	return r
}

func (r *record) fill(m *Stored, done func(error)) {
	r.done = done
	r.keys[0], r.keys[1], r.keys[2] = m.Keys.cursors, m.Keys.indexOf(m.Seq), m.Keys.sentIn(sentPeriodOf(m.At))
	b := r.text[:0]
	b = appendHead(b, m.Before)
	before := len(b)
	b = appendHead(b, Head{m.Seq, m.Position})
	head := len(b)
	b = strconv.AppendUint(b, m.Seq%proto.IndexBlock*8, 10)
	offset := len(b)
	b = binary.BigEndian.AppendUint64(b, m.Position)
	packed := len(b)
	b = append(append(append(b, m.User...), '/'), m.Device...)
	device := len(b)
	if m.Key != "" {
		b = appendSent(b, m.Position, m.Content)
	}
	all := string(b) // one piece of memory for all of them
	r.text = b
	r.before, r.head, r.offset = all[:before], all[before:head], all[head:offset]
	r.packed, r.device, r.sent = all[offset:packed], all[packed:device], all[device:]
	r.seq, _, _ = strings.Cut(r.head, " ")
	r.user, r.key = string(m.User), m.Key
}

// Commands and Done make it an operation of the pipeline.
func (r *record) Commands() []redis.Cmder { return r.use[:] }

// Done hands the outcome on; the record may be another's from then on.
func (r *record) Done(err error) {
	done := r.done
	r.owner.put(r)
	done(err)
}

func appendHead(b []byte, h Head) []byte {
	b = strconv.AppendUint(b, h.Seq, 10)
	return strconv.AppendUint(append(b, ' '), h.Position, 10)
}

func appendSent(b []byte, position uint64, content string) []byte {
	b = strconv.AppendUint(b, position, 10)
	return append(append(b, ' '), content...)
}
