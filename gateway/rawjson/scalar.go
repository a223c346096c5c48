package rawjson

// scalar returns the index behind a string, a number or a word.
func scalar(src []byte, i int) (end int, ok bool) {
	switch src[i] {
	case '"':
		return text(src, i)
	case 't':
		return word(src, i, "true")
	case 'f':
		return word(src, i, "false")
	case 'n':
		return word(src, i, "null")
	}
	return number(src, i)
}

func word(src []byte, i int, want string) (end int, ok bool) {
	end = i + len(want)
	return end, end <= len(src) && string(src[i:end]) == want
}

// stops are the bytes that end the fast loop over a string: the quote, the backslash and
// all control characters.
var stops = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// text expects the opening quote at src[i].
func text(src []byte, i int) (end int, ok bool) {
	for i++; ; i++ {
		for i < len(src) && !stops[src[i]] {
			i++
		}
		switch {
		case i >= len(src) || src[i] < ' ':
			return i, false
		case src[i] == '"':
			return i + 1, true
		}
		if i++; i >= len(src) {
			return i, false
		}
		switch src[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			if len(src)-i < 5 || !isHex(src[i+1]) || !isHex(src[i+2]) || !isHex(src[i+3]) || !isHex(src[i+4]) {
				return i, false
			}
			i += 4
		default:
			return i, false
		}
	}
}

func number(src []byte, i int) (end int, ok bool) {
	if i < len(src) && src[i] == '-' {
		i++
	}
	switch {
	case i >= len(src) || !isDigit(src[i]):
		return i, false
	case src[i] == '0':
		i++
	default:
		i = digits(src, i)
	}
	if i < len(src) && src[i] == '.' {
		if i++; i >= len(src) || !isDigit(src[i]) {
			return i, false
		}
		i = digits(src, i)
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if i >= len(src) || !isDigit(src[i]) {
			return i, false
		}
		i = digits(src, i)
	}
	return i, true
}

func digits(src []byte, i int) int {
	for i < len(src) && isDigit(src[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
