package proto

import (
	"fmt"
	"unicode/utf8"
)

// MaxEncoded bounds a long text as JSON writes it between its quotes, in bytes:
// EncryptedContent and Sdp.SDP.
// Quotes, backslashes and line ends take two bytes each, other control characters six. A
// text of MaxContent or MaxSDP bytes is refused only if control characters make up much of it.
const MaxEncoded = 128 << 10

// EncodedLen is how many bytes a string takes as JSON, its quotes included: what
// services/wire writes. Invalid UTF-8 counts as U+FFFD, three bytes for each invalid byte.
func EncodedLen(s string) int {
	n := len(s) + 2
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < ' ':
			n += 5
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				n += 2
			}
			i += size - 1
		}
	}
	return n
}

// encodedTooLarge is tooLarge for a text as JSON writes it. A text of less than a sixth of
// the bound cannot be over it.
func encodedTooLarge(name, text string) error {
	if 6*len(text) < MaxEncoded || EncodedLen(text)-len(`""`) <= MaxEncoded {
		return nil
	}
	return &Error{Code: PayloadTooLarge, Field: name, Message: fmt.Sprintf("%s must be at most %d bytes as JSON writes it", name, MaxEncoded)}
}
