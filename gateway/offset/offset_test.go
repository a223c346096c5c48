package offset

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"supmesh.dev/gateway/wsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ wsconn.Stamper = (*Stamper)(nil)

func stamper(t require.TestingT, epoch, user string) *Stamper {
	s, err := NewSealer(epoch)
	require.NoError(t, err)
	return s.For(user)
}

func TestWidth(t *testing.T) {
	t.Parallel()
	require.Equal(t, wsconn.StampWidth, Width)
	_, err := NewSealer("")
	require.Error(t, err)
}

func TestOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		position := rapid.Uint64Range(0, MaxPosition).Draw(r, "position")
		user := rapid.StringN(1, 20, -1).Draw(r, "user")
		mine := stamper(r, "e1", user)
		sealed := mine.String(position)
		require.Len(r, sealed, Width)
		got, err := mine.Open(sealed)
		require.NoError(r, err)
		require.Equal(r, position, got)

		_, err = stamper(r, "e1", user+"x").Open(sealed)
		require.ErrorIs(r, err, ErrVoid, "another user")
		_, err = stamper(r, "e2", user).Open(sealed)
		require.ErrorIs(r, err, ErrVoid, "another log")

		at := rapid.IntRange(0, Width-1).Draw(r, "at")
		other := rapid.SampledFrom([]byte("ABCDEFabcdef0123456789-_")).Draw(r, "byte")
		if sealed[at] != other {
			_, err = mine.Open(sealed[:at] + string(other) + sealed[at+1:])
			require.ErrorIs(r, err, ErrVoid, "tampered")
		}
	})
}

func TestRefusesWhatIsNoOffset(t *testing.T) {
	t.Parallel()
	s := stamper(t, "e", "u")
	for _, text := range []string{"", "message:new", strings.Repeat("A", 21), strings.Repeat("A", 22), strings.Repeat("A", 23), strings.Repeat("%", 22), strings.Repeat("\n", 22)} {
		_, err := s.Open(text)
		require.ErrorIs(t, err, ErrVoid, text)
	}
}

func TestStampAllocatesNothing(t *testing.T) { //nolint:paralleltest // measures allocations
	s := stamper(t, "e", "u")
	dst := make([]byte, Width)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Stamp(dst, 7) }))
}

func BenchmarkStamp(b *testing.B) {
	s := stamper(b, "e", "u")
	dst := make([]byte, Width)
	for b.Loop() {
		s.Stamp(dst, 7)
	}
}

func FuzzOpen(f *testing.F) {
	s := stamper(f, "e", "u")
	f.Add(s.String(1))
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := s.Open(text); err == nil {
			require.Equal(t, text, s.String(p))
		}
	})
}
