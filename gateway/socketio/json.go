package socketio

import "errors"

var (
	errJSON  = errors.New("invalid JSON")
	errDepth = errors.New("JSON nested too deeply")
)

// scanner checks JSON in place without decoding it: the gateway passes payloads on as bytes and only needs to know where
// a value ends. It accepts what JSON.parse accepts (RFC 8259; lone surrogate escapes and duplicate keys included), given
// text that is already known to be valid UTF-8. It never allocates and never recurses deeper than its depth.
type scanner struct {
	src   []byte
	depth int // levels of nesting that may still be opened
}

// structural characters of a string that stop the fast loop: the quote, the backslash and all control characters.
var stopsString = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

func (s *scanner) space(i int) int {
	for i < len(s.src) && (s.src[i] == ' ' || s.src[i] == '\n' || s.src[i] == '\t' || s.src[i] == '\r') {
		i++
	}
	return i
}

// value returns the index after the value that starts at i (which is not white space).
func (s *scanner) value(i int) (int, error) {
	if i >= len(s.src) {
		return i, errJSON
	}
	switch c := s.src[i]; c {
	case '"':
		return s.str(i)
	case '{':
		return s.object(i)
	case '[':
		return s.array(i)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	default:
		return s.number(i)
	}
}

func (s *scanner) literal(i int, word string) (int, error) {
	if len(s.src)-i < len(word) || string(s.src[i:i+len(word)]) != word {
		return i, errJSON
	}
	return i + len(word), nil
}

func (s *scanner) object(i int) (int, error) {
	if s.depth--; s.depth < 0 {
		return i, errDepth
	}
	i = s.space(i + 1)
	if i < len(s.src) && s.src[i] == '}' {
		s.depth++
		return i + 1, nil
	}
	for {
		var err error
		if i >= len(s.src) || s.src[i] != '"' {
			return i, errJSON
		}
		if i, err = s.str(i); err != nil {
			return i, err
		}
		if i = s.space(i); i >= len(s.src) || s.src[i] != ':' {
			return i, errJSON
		}
		if i, err = s.value(s.space(i + 1)); err != nil {
			return i, err
		}
		i = s.space(i)
		if i >= len(s.src) {
			return i, errJSON
		}
		switch s.src[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			s.depth++
			return i + 1, nil
		default:
			return i, errJSON
		}
	}
}

func (s *scanner) array(i int) (int, error) {
	if s.depth--; s.depth < 0 {
		return i, errDepth
	}
	i = s.space(i + 1)
	if i < len(s.src) && s.src[i] == ']' {
		s.depth++
		return i + 1, nil
	}
	for {
		var err error
		if i, err = s.value(i); err != nil {
			return i, err
		}
		i = s.space(i)
		if i >= len(s.src) {
			return i, errJSON
		}
		switch s.src[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			s.depth++
			return i + 1, nil
		default:
			return i, errJSON
		}
	}
}

// str expects the opening quote at i.
func (s *scanner) str(i int) (int, error) {
	src := s.src
	for i++; ; i++ {
		for i < len(src) && !stopsString[src[i]] {
			i++
		}
		if i >= len(src) {
			return i, errJSON
		}
		switch src[i] {
		case '"':
			return i + 1, nil
		case '\\':
			if i++; i >= len(src) {
				return i, errJSON
			}
			switch src[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(src)-i < 5 || !isHex(src[i+1]) || !isHex(src[i+2]) || !isHex(src[i+3]) || !isHex(src[i+4]) {
					return i, errJSON
				}
				i += 4
			default:
				return i, errJSON
			}
		default: // a bare control character
			return i, errJSON
		}
	}
}

func (s *scanner) number(i int) (int, error) {
	src := s.src
	if i < len(src) && src[i] == '-' {
		i++
	}
	switch {
	case i >= len(src) || !isDigit(src[i]):
		return i, errJSON
	case src[i] == '0':
		i++
	default:
		i = digits(src, i)
	}
	if i < len(src) && src[i] == '.' {
		if i++; i >= len(src) || !isDigit(src[i]) {
			return i, errJSON
		}
		i = digits(src, i)
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if i >= len(src) || !isDigit(src[i]) {
			return i, errJSON
		}
		i = digits(src, i)
	}
	return i, nil
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

// checkObject reports whether src is exactly one JSON object, white space around it allowed.
func checkObject(src []byte, depth int) error {
	s := scanner{src: src, depth: depth}
	i := s.space(0)
	if i >= len(src) || src[i] != '{' {
		return errJSON
	}
	i, err := s.object(i)
	if err != nil {
		return err
	}
	if s.space(i) != len(src) {
		return errJSON
	}
	return nil
}

// splitArray checks that src is exactly one JSON array and returns its first value, its second value and everything from
// the second value on, each nil if there is none.
func splitArray(src []byte, depth int) (first, second, rest []byte, err error) {
	s := scanner{src: src, depth: depth - 1}
	i := s.space(0)
	if i >= len(src) || src[i] != '[' || depth < 1 {
		return nil, nil, nil, errJSON
	}
	i = s.space(i + 1)
	if i < len(src) && src[i] == ']' {
		if s.space(i+1) != len(src) {
			return nil, nil, nil, errJSON
		}
		return nil, nil, nil, nil
	}
	restAt := 0
	for n := 0; ; n++ {
		start := i
		if i, err = s.value(i); err != nil {
			return nil, nil, nil, err
		}
		switch n {
		case 0:
			first = src[start:i]
		case 1:
			second, restAt = src[start:i], start
		}
		end := i
		if i = s.space(i); i >= len(src) {
			return nil, nil, nil, errJSON
		}
		if src[i] == ']' {
			if s.space(i+1) != len(src) {
				return nil, nil, nil, errJSON
			}
			if n > 0 {
				rest = src[restAt:end]
			}
			return first, second, rest, nil
		}
		if src[i] != ',' {
			return nil, nil, nil, errJSON
		}
		i = s.space(i + 1)
	}
}
