package wsconn

import "encoding/binary"

// cutter cuts a stream of server frames, written in pieces of any size, into whole frames.
type cutter struct{ rest []byte }

// add appends what was written. The bytes are copied.
func (k *cutter) add(p []byte) { k.rest = append(k.rest, p...) }

// next removes and returns the first whole frame with the length of its header, or nil. The frame belongs to the caller.
func (k *cutter) next() (wire []byte, header int) {
	header, size := frameSize(k.rest)
	if header == 0 || uint64(len(k.rest)) < size {
		return nil, 0
	}
	wire = k.rest[:size:size]
	k.rest = k.rest[size:]
	if len(k.rest) == 0 {
		k.rest = nil
	}
	return wire, header
}

// frameSize returns the length of the header and of the whole frame that p begins with; header 0 means p is too short to tell.
func frameSize(p []byte) (header int, size uint64) {
	if len(p) < 2 {
		return 0, 0
	}
	header, size = 2, uint64(p[1]&0x7f)
	switch size {
	case 126:
		header = 4
	case 127:
		header = maxHeader
	}
	if len(p) < header {
		return 0, 0
	}
	switch header {
	case 4:
		size = uint64(binary.BigEndian.Uint16(p[2:]))
	case maxHeader:
		// A server never writes 2^63 bytes; the mask keeps the sum below from wrapping round.
		size = binary.BigEndian.Uint64(p[2:]) & (1<<63 - 1)
	}
	return header, size + uint64(header)
}
