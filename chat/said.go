package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// said is one message as receipts need it.
type said struct {
	seq, position uint64
	id, author    string
}

// time is when it was said.
func (m said) time() time.Time {
	at, _, _ := parseMessageID(m.id)
	return at
}

// saidCache keeps who said the messages that were last asked for: in a large
// chat everybody's receipt is about the same few. What it holds never changes
// as long as the log is the same one. There are two generations; what is used
// moves to the younger one, and the older one goes when that is full.
type saidCache struct {
	mu         sync.Mutex
	young, old map[saidKey]said
}

type saidKey struct {
	chat proto.Token
	seq  uint64
}

// saidGeneration bounds a generation: both are about 5 MB.
const saidGeneration = 1 << 14

func (k *saidCache) get(chat proto.Token, seq uint64) (said, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := saidKey{chat, seq}
	m, ok := k.young[key]
	if !ok {
		if m, ok = k.old[key]; ok {
			k.putLocked(key, m)
		}
	}
	return m, ok
}

func (k *saidCache) put(chat proto.Token, m said) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.putLocked(saidKey{chat, m.seq}, m)
}

func (k *saidCache) putLocked(key saidKey, m said) {
	if len(k.young) >= saidGeneration {
		k.young, k.old = nil, k.young
	}
	if k.young == nil {
		k.young = make(map[saidKey]said)
	}
	k.young[key] = m
}

func (k *saidCache) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.young, k.old = nil, nil
}

// messagesAt finds messages by seq, none of them past the chat's last. One that
// the log does not have any more is zero.
func (s *Service) messagesAt(ctx context.Context, chat proto.Token, seqs []uint64) ([]said, error) {
	out := make([]said, len(seqs))
	var missing []int
	var spans []projection.Span // of the missing ones, in their order
	for i, seq := range seqs {
		if m, ok := s.said.get(chat, seq); ok {
			out[i] = m
			continue
		}
		missing = append(missing, i)
		if n := len(spans); n > 0 && spans[n-1].To+1 == seq {
			spans[n-1].To = seq
		} else {
			spans = append(spans, projection.Span{Chat: chat, From: seq, To: seq})
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	index, err := s.positions(ctx, spans)
	if err != nil {
		return nil, err
	}
	var found []int // of out
	var places []uint64
	for _, part := range index {
		for _, position := range part {
			if position != 0 {
				found, places = append(found, missing[0]), append(places, position)
			}
			missing = missing[1:]
		}
	}
	for len(places) > 0 {
		n := min(len(places), maxChunk)
		entries, err := s.log.Get(ctx, places[:n])
		if err != nil {
			return nil, err
		}
		for i, e := range entries {
			if m := saidIn(e); m.id != "" {
				out[found[i]] = m
				s.said.put(chat, m)
			}
		}
		found, places = found[n:], places[n:]
	}
	return out, nil
}

// saidIn reads a stored message; zero where it is none.
func saidIn(e eventlog.Entry) said {
	const head = `{` + messageHead + `{"id":"`
	rest, ok := bytes.CutPrefix(e.Body, []byte(head))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 || e.Seq == 0 || e.Event != proto.MessageNew.Name {
		return said{}
	}
	return said{seq: e.Seq, position: e.Position, id: string(rest[:end]), author: authorIn(e.Body)}
}

// authorIn finds the sender in a stored body without decoding the rest: the
// encoder puts it before anything a client wrote but the chat's id, in which a
// quote is escaped.
func authorIn(body []byte) string {
	const mark = `,"senderId":`
	i := bytes.Index(body, []byte(mark+`"`))
	if i < 0 {
		return ""
	}
	text := body[i+len(mark):]
	for end := 1; end < len(text); end++ {
		switch text[end] {
		case '\\':
			end++
		case '"':
			var author string
			if json.Unmarshal(text[:end+1], &author) != nil {
				return ""
			}
			return author
		}
	}
	return ""
}
