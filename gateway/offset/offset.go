package offset

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Width is the length of an offset in bytes: 16 bytes as unpadded base64url.
const Width = 22

// ErrVoid says that an offset does not name a place in this log for this user:
// resume is not possible, and the client must be told so (resync).
var ErrVoid = errors.New("offset: void")

// MaxPosition is the last place an offset can name: 56 bits.
const MaxPosition = 1<<56 - 1

// Sealer seals and opens the offsets of one log. It is safe for concurrent use.
type Sealer struct {
	block cipher.Block
	epoch uint32
	hash  []byte // key of the user hash
}

// NewSealer derives the keys of the log with this epoch.
func NewSealer(epoch string) (*Sealer, error) {
	if epoch == "" {
		return nil, errors.New("offset: the log has no epoch")
	}
	keys, err := hkdf.Key(sha256.New, []byte(epoch), nil, "sup offset", 16+16+4)
	if err != nil {
		return nil, fmt.Errorf("derive offset keys: %w", err)
	}
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		return nil, fmt.Errorf("derive offset keys: %w", err)
	}
	return &Sealer{block: block, hash: keys[16:32], epoch: binary.BigEndian.Uint32(keys[32:])}, nil
}

// Stamper writes the offsets of one user for one connection. It implements
// wsconn.Stamper and, like it, must not be used twice at once.
type Stamper struct {
	sealer  *Sealer
	user    uint64              // 40 bits
	scratch [aes.BlockSize]byte // in here, so that a Stamp allocates nothing
}

// For is a stamper of one user.
func (s *Sealer) For(user string) *Stamper { return &Stamper{sealer: s, user: s.userHash(user)} }

func (s *Sealer) userHash(user string) uint64 {
	h := sha256.New()
	h.Write(s.hash)
	h.Write([]byte(user))
	sum := h.Sum(nil)
	return binary.BigEndian.Uint64(sum[:8]) >> 24
}

// Stamp writes the offset of position to the first Width bytes of dst.
func (t *Stamper) Stamp(dst []byte, position uint64) {
	b := t.scratch[:]
	binary.BigEndian.PutUint64(b[0:8], position<<8|t.user>>32)
	binary.BigEndian.PutUint32(b[8:12], uint32(t.user))
	binary.BigEndian.PutUint32(b[12:16], t.sealer.epoch)
	t.sealer.block.Encrypt(b, b)
	base64.RawURLEncoding.Encode(dst[:Width], b)
}

// String is the offset of position.
func (t *Stamper) String(position uint64) string {
	var dst [Width]byte
	t.Stamp(dst[:], position)
	return string(dst[:])
}

// Open is the place an offset names for this user, or ErrVoid.
func (t *Stamper) Open(offset string) (uint64, error) {
	var b [aes.BlockSize]byte
	if len(offset) != Width {
		return 0, ErrVoid
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(offset)); err != nil || n != len(b) {
		return 0, ErrVoid
	}
	t.sealer.block.Decrypt(b[:], b[:])
	head := binary.BigEndian.Uint64(b[0:8])
	user := head&0xff<<32 | uint64(binary.BigEndian.Uint32(b[8:12]))
	if user != t.user || binary.BigEndian.Uint32(b[12:16]) != t.sealer.epoch {
		return 0, ErrVoid
	}
	return head >> 8, nil
}
