package socketio

import (
	"errors"

	"supmesh.dev/gateway/rawjson"
)

var errJSON = errors.New("invalid JSON")

// splitArray checks that src is exactly one JSON array and returns its first value, its second value and everything from
// the second value on, each nil if there is none.
func splitArray(src []byte) (first, second, rest []byte, err error) {
	n, restAt := 0, 0
	ok := rawjson.Array(src, func(from, to int) {
		switch n {
		case 0:
			first = src[from:to]
		case 1:
			second, restAt = src[from:to], from
		}
		if n > 0 {
			rest = src[restAt:to]
		}
		n++
	})
	if !ok {
		return nil, nil, nil, errJSON
	}
	return first, second, rest, nil
}

// checkObject reports whether src is exactly one JSON object.
func checkObject(src []byte) error {
	if !rawjson.Object(src, func(_, _ []byte) {}) {
		return errJSON
	}
	return nil
}

func digits(src []byte, i int) int {
	for i < len(src) && src[i] >= '0' && src[i] <= '9' {
		i++
	}
	return i
}
