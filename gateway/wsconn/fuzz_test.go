package wsconn

import (
	"bytes"
	"testing"
)

// Any stream of frames, written in pieces of any size, comes out as the same frames.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x89\x00\x88\x02\x03\xe8"), []byte{1, 2, 3})
	f.Add(append([]byte{0x82, 126, 1, 0}, make([]byte, 256)...), []byte{7})
	f.Add(append([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 65536)...), []byte{255, 1})
	f.Add([]byte{0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1}, []byte{})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		var k cutter
		var out []byte
		rest := stream
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if i < len(sizes) {
				n = min(n, int(sizes[i]))
			}
			k.add(rest[:n])
			rest = rest[n:]
			for {
				wire, header := k.next()
				if wire == nil {
					break
				}
				if h, size := frameSize(wire); h != header || size != uint64(len(wire)) {
					t.Fatalf("cut %d bytes with header %d, but the frame says %d and %d", len(wire), header, size, h)
				}
				out = append(out, wire...)
			}
		}
		if out = append(out, k.rest...); !bytes.Equal(out, stream) {
			t.Fatalf("%d bytes in, %d out", len(stream), len(out))
		}
		if header, size := frameSize(k.rest); header > 0 && size <= uint64(len(k.rest)) {
			t.Fatal("a whole frame was left behind")
		}
	})
}

// However inbound bytes are split, the guards come to the same verdict and the same place.
func FuzzInbound(f *testing.F) {
	f.Add(clientFrame(finBit|opText, []byte("hello")), []byte{1})
	f.Add(append(clientFrame(opText, nil), clientFrame(0, make([]byte, 300))...), []byte{3, 1, 1})
	f.Add(bytes.Repeat(clientFrame(finBit|opPing, nil), 7), []byte{2})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		cfg, err := Config{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		var whole, split inbound
		want := whole.feed(stream, 0, &cfg)
		got := ""
		rest := stream
		for i := 0; len(rest) > 0 && got == ""; i++ {
			n := len(rest)
			if i < len(sizes) {
				n = min(n, int(sizes[i]))
			}
			got = split.feed(rest[:n], 0, &cfg)
			rest = rest[n:]
		}
		if got != want {
			t.Fatalf("at once %q, in pieces %q", want, got)
		}
		whole.recent, split.recent = 0, 0 // counts from the read before
		if got == "" && whole != split {
			t.Fatalf("at once %+v, in pieces %+v", whole, split)
		}
	})
}
