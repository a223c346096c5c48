package wsconn

import "time"

// What the guards refuse, with the code the connection is closed with:
//
//	1002  a frame that breaks the protocol: not masked, reserved bits, unknown opcode, bad length, bad close payload
//	1007  a text message that is not UTF-8
//	1008  too many pings, too many fragments, a message that comes too slowly
//	1009  a message over Config.ReadLimit
//
// The library checks the protocol; it does not count pings, fragments or time, and leaves the connection open after some
// errors. What it does not do is done here, on the bytes it reads, before it reads them.
const (
	closeProtocol = 1002
	closeUTF8     = 1007
	closePolicy   = 1008

	// maxFragments bounds the frames of one message, maxEmptyFragments those of them that carry nothing: an endless row of
	// empty fragments never reaches the read limit.
	maxFragments      = 4096
	maxEmptyFragments = 64
)

// tooSlow is the close reason for a message whose next part does not come in time.
const tooSlow = "message comes too slowly"

// Where in a frame the next inbound byte is.
const (
	atOpcode uint8 = iota
	atLength
	atExtended // more length bytes, then the mask
	atBody     // mask and payload
)

// inbound follows the frames of the inbound bytes: where they begin and end, and what they add up to.
type inbound struct {
	left   uint64 // bytes of mask and payload to come
	since  int64  // Engine time from which the next part of the unfinished message or frame is waited for
	second int64  // the second that controls counts in
	tokens int    // what the byte bucket holds

	recent    uint32 // bytes of the unfinished message that came since then
	fragments uint16 // of the unfinished message
	empty     uint16
	controls  uint16
	extended  uint8 // length bytes to come
	at        uint8
	masked    bool
	first     byte // opcode byte of the current frame
	open      bool // a message has begun and its last frame has not
}

// border tells whether everything received so far is whole messages.
func (in *inbound) border() bool { return in.at == atOpcode && !in.open }

// feed follows p, received at now, and returns the rule it breaks, or "".
func (in *inbound) feed(p []byte, now int64, cfg *Config) string {
	was := in.border()
	fresh := false // a message ended in p, so an unfinished one began in p
	for len(p) > 0 {
		switch in.at {
		case atOpcode:
			in.first, in.at = p[0], atLength
			p = p[1:]
		case atLength:
			in.masked = p[0]&0x80 != 0
			in.left, in.extended, in.at = uint64(p[0]&0x7f), 0, atExtended
			switch in.left {
			case 126:
				in.left, in.extended = 0, 2
			case 127:
				in.left, in.extended = 0, 8
			}
			p = p[1:]
			if in.extended == 0 {
				if broken := in.header(now, cfg); broken != "" {
					return broken
				}
			}
		case atExtended:
			in.left = in.left<<8 | uint64(p[0])
			in.extended--
			p = p[1:]
			if in.extended == 0 {
				if broken := in.header(now, cfg); broken != "" {
					return broken
				}
			}
		case atBody:
			n := min(in.left, uint64(len(p)))
			in.left -= n
			if in.first&0x08 == 0 { // pings inside a message do not bring it on
				in.recent += uint32(n) // at most what one read brings
			}
			p = p[n:]
		}
		if in.at == atBody && in.left == 0 {
			in.at = atOpcode
			fresh = fresh || !in.open
		}
	}
	if in.border() {
		return ""
	}
	switch {
	case was || fresh || int64(in.recent) >= int64(cfg.MessagePart):
		in.since, in.recent = now, 0
	case now-in.since > int64(cfg.MessageTimeout):
		return tooSlow
	}
	return ""
}

// header judges a frame whose length is known.
func (in *inbound) header(now int64, cfg *Config) string {
	payload := in.left
	in.at = atBody
	if in.masked {
		in.left += 4
	}
	if in.first&0x08 != 0 {
		if second := now / int64(time.Second); second != in.second {
			in.second, in.controls = second, 0
		}
		in.controls++
		if cfg.MaxPingsPerSecond > 0 && in.first&0x0f != opClose && int(in.controls) > cfg.MaxPingsPerSecond {
			return "too many pings"
		}
		return ""
	}
	if !in.open {
		in.open, in.fragments, in.empty = true, 0, 0
	}
	in.fragments++
	if payload == 0 {
		in.empty++
	}
	if in.first&finBit != 0 {
		in.open = false
		return ""
	}
	if in.fragments > maxFragments || in.empty > maxEmptyFragments {
		return "too many fragments"
	}
	return ""
}

// spend takes n bytes from the bucket, which has been filling since the last inbound byte.
func (in *inbound) spend(n int, since int64, cfg *Config) {
	rate := int64(cfg.ReadBytesPerSecond)
	if rate <= 0 {
		return
	}
	// Long idle times are cut before they are multiplied.
	filled := min(since, int64(time.Hour)) / int64(time.Microsecond) * rate / int64(time.Second/time.Microsecond)
	in.tokens = int(min(int64(in.tokens)+filled, int64(cfg.ReadBurst))) - n
}

// debt is how long to wait until the bucket is not empty any more.
func (in *inbound) debt(cfg *Config) time.Duration {
	if in.tokens >= 0 || cfg.ReadBytesPerSecond <= 0 {
		return 0
	}
	return time.Duration(-in.tokens) * time.Second / time.Duration(cfg.ReadBytesPerSecond)
}
