package wire

import "supmesh.dev/proto"

// MaxDepth bounds the nesting of objects and arrays in what clients and
// backends send. The deepest shape of the contract needs five; the rest is for
// metadata and settings, which pass through.
const MaxDepth = 32

func errTooDeep() *proto.Error {
	return proto.Errorf(proto.InvalidPayload, "nesting must be at most %d levels", MaxDepth)
}

// shallow counts brackets outside strings. It judges depth alone: the decoder
// that follows judges the rest.
func shallow(data []byte) bool {
	if len(data) <= MaxDepth {
		return true
	}
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case '}', ']':
			depth--
		}
	}
	return true
}
