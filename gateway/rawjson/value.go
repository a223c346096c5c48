package rawjson

// Space returns the index behind the white space at src[i].
func Space(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// Value returns the index behind the value that starts at src[i], which is not white space.
// ok is false if there is no valid value.
func Value(src []byte, i int) (end int, ok bool) {
	var open levels
	for {
		if i >= len(src) {
			return i, false
		}
		switch c := src[i]; c {
		case '{', '[':
			i = Space(src, i+1)
			if i < len(src) && src[i] == c+2 { // the closing bracket: both pairs lie two apart
				i++
				break
			}
			open.push(c == '{')
			if c == '{' {
				if i, ok = name(src, i); !ok {
					return i, false
				}
			}
			continue
		default:
			if i, ok = scalar(src, i); !ok {
				return i, false
			}
		}
		if i, ok = open.next(src, i); !ok {
			return i, false
		}
		if open.depth == 0 {
			return i, true
		}
	}
}

// next goes from the end of a value to the start of the next one, over the ends of arrays
// and objects. Depth 0 afterwards means that the outermost value has ended.
func (l *levels) next(src []byte, i int) (at int, ok bool) {
	for l.depth > 0 {
		if i = Space(src, i); i >= len(src) {
			return i, false
		}
		object := l.inObject()
		switch c := src[i]; {
		case c == ',' && object:
			return name(src, Space(src, i+1))
		case c == ',':
			return Space(src, i+1), true
		case c == '}' && object, c == ']' && !object:
			l.depth--
			i++
		default:
			return i, false
		}
	}
	return i, true
}

// name goes over the name at src[i] and its colon, to the start of its value.
func name(src []byte, i int) (at int, ok bool) {
	if i >= len(src) || src[i] != '"' {
		return i, false
	}
	if i, ok = text(src, i); !ok {
		return i, false
	}
	if i = Space(src, i); i >= len(src) || src[i] != ':' {
		return i, false
	}
	return Space(src, i+1), true
}

// levels is the stack of open arrays and objects, a bit each.
type levels struct {
	depth int
	first [4]uint64
	more  []uint64
}

func (l *levels) word(level int) *uint64 {
	w := level / 64
	if w < len(l.first) {
		return &l.first[w]
	}
	if w -= len(l.first); w == len(l.more) {
		l.more = append(l.more, 0)
	}
	return &l.more[w]
}

func (l *levels) push(object bool) {
	bit := uint64(1) << (l.depth % 64)
	if w := l.word(l.depth); object {
		*w |= bit
	} else {
		*w &^= bit
	}
	l.depth++
}

func (l *levels) inObject() bool {
	level := l.depth - 1
	return *l.word(level)&(1<<(level%64)) != 0
}
