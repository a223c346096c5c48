package wire

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escape is the length of an escape of one UTF-16 unit, \uXXXX.
const escape = 6

// mend returns data with the escape of each half of a surrogate pair replaced by that of
// U+FFFD, which has the same length. JavaScript writes such halves when an app cuts text in
// the middle of an emoji; RFC 7493 §2.1 forbids them, and strict readers refuse the whole
// text. data itself is not changed: it is copied if there is one.
func mend(data []byte) []byte {
	copied := false
	for i := 0; ; {
		at := bytes.IndexByte(data[i:], '\\')
		if at < 0 || i+at+1 >= len(data) {
			return data
		}
		i += at
		unit, ok := unitAt(data, i)
		switch {
		case !ok:
			i += 2
		case !utf16.IsSurrogate(unit):
			i += escape
		case isPair(data, i, unit):
			i += 2 * escape
		default:
			if !copied {
				data, copied = slices.Clone(data), true
			}
			copy(data[i:], `\ufffd`)
			i += escape
		}
	}
}

func isPair(data []byte, i int, first rune) bool {
	second, ok := unitAt(data, i+escape)
	return ok && utf16.DecodeRune(first, second) != utf8.RuneError
}

// unitAt reads the escape of a UTF-16 unit at data[i].
func unitAt(data []byte, i int) (rune, bool) {
	if len(data) < i+escape || data[i] != '\\' || data[i+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(data[i+2:i+escape]), 16, 16)
	return rune(unit), err == nil
}
