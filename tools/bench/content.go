package bench

import (
	"bytes"
	"strconv"
)

// A message's content opens with a mark and the message's index in the
// schedule, in a fixed width: the receiver finds the moment it was due without
// decoding JSON.
const (
	contentMark = `"encryptedContent":"sb1.`
	indexWidth  = 8 // hex digits
	minContent  = len("sb1.") + indexWidth + 1
)

var (
	markBytes = []byte(contentMark)
	seqBytes  = []byte(`"seq":`)
	okBytes   = []byte(`"success":true`)
)

// appendContent appends a content of size bytes for message i.
func appendContent(dst []byte, i, size int) []byte {
	dst = append(dst, "sb1."...)
	for shift := 4 * (indexWidth - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[i>>shift&15])
	}
	dst = append(dst, '.')
	for n := minContent; n < size; n++ {
		dst = append(dst, 'a'+byte((i+n)%26))
	}
	return dst
}

// appendEvent appends the JSON payload of the message:new that carries message i.
func appendEvent(dst []byte, chat string, i, size int) []byte {
	dst = append(append(dst, `{"chatId":"`...), chat...)
	dst = append(dst, `","encryptedContent":"`...)
	dst = appendContent(dst, i, size)
	dst = append(dst, `","messageType":"text","tempId":"t`...)
	return append(strconv.AppendUint(dst, uint64(i), 16), `"}`...)
}

// scanner reads the few bytes that are counted. It remembers where it found
// them last: messages of one run look alike, so that it seldom has to search.
type scanner struct{ mark, seq, ok int }

// find is bytes.Index with the remembered place tried first.
func find(body, text []byte, last *int) int {
	if at := *last; at+len(text) <= len(body) && bytes.Equal(body[at:at+len(text)], text) {
		return at
	}
	at := bytes.Index(body, text)
	if at >= 0 {
		*last = at
	}
	return at
}

// message reads a delivery: the message's index and its seq in the chat.
func (s *scanner) message(body []byte) (i int, seq uint64, ok bool) {
	at := find(body, markBytes, &s.mark)
	if at < 0 || len(body) < at+len(contentMark)+indexWidth {
		return 0, 0, false
	}
	for _, c := range body[at+len(contentMark) : at+len(contentMark)+indexWidth] {
		switch {
		case c >= '0' && c <= '9':
			i = i<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			i = i<<4 | int(c-'a'+10)
		default:
			return 0, 0, false
		}
	}
	seq, ok = s.number(body)
	return i, seq, ok
}

// ack reads an ack: whether it says success, and the seq the message got.
func (s *scanner) ack(body []byte) (seq uint64, ok bool) {
	if find(body, okBytes, &s.ok) < 0 {
		return 0, false
	}
	return s.number(body)
}

func (s *scanner) number(body []byte) (uint64, bool) {
	at := find(body, seqBytes, &s.seq)
	if at < 0 {
		return 0, false
	}
	n, _ := digits(body[at+len(seqBytes):])
	return n, n > 0
}
