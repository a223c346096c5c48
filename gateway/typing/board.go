package typing

import (
	"cmp"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// For is how long an indicator lives without renewal.
const For = proto.TypingFor

// MaxShown bounds the indicators of one chat.
const MaxShown = 50

// Key is one indicator of a chat: a user types in the chat, or in one of its threads.
type Key struct {
	User   proto.Token
	Thread string
}

// Shown is one indicator on a Board.
type Shown struct {
	Key
	Told proto.Typing // as the viewers were told
	Ends time.Time
}

// Board is the indicators that the viewers of one chat are shown. The zero
// Board is empty.
type Board struct{ shown map[Key]Shown }

// Start shows an indicator or renews it; it lives for as long as told says, at
// most For. False: the board is full, and nobody is to be told.
func (b *Board) Start(key Key, told proto.Typing, now time.Time) bool {
	if _, renewed := b.shown[key]; !renewed && len(b.shown) >= MaxShown {
		return false
	}
	if b.shown == nil {
		b.shown = make(map[Key]Shown)
	}
	lives := For
	if d := time.Duration(told.ExpiresInMs) * time.Millisecond; d > 0 && d < For {
		lives = d
	}
	b.shown[key] = Shown{key, told, now.Add(lives)}
	return true
}

// Stop ends the indicator of a user in a thread, or all of the user's where all
// is true, and returns those that there were.
func (b *Board) Stop(key Key, all bool) []Shown {
	if !all {
		s, ok := b.shown[key]
		if !ok {
			return nil
		}
		delete(b.shown, key)
		return []Shown{s}
	}
	return b.take(func(s Shown) bool { return s.User == key.User })
}

// Expire ends what has not been renewed in time, and returns it, earliest first.
func (b *Board) Expire(now time.Time) []Shown {
	return b.take(func(s Shown) bool { return !now.Before(s.Ends) })
}

// Next is when the next indicator expires; false where none is shown.
func (b *Board) Next() (at time.Time, ok bool) {
	for _, s := range b.shown {
		if !ok || s.Ends.Before(at) {
			at, ok = s.Ends, true
		}
	}
	return at, ok
}

// Current is what is shown, with what is left of each as of now.
func (b *Board) Current(now time.Time) []Shown {
	out := make([]Shown, 0, len(b.shown))
	for _, s := range b.shown {
		if left := s.Ends.Sub(now).Milliseconds(); left > 0 {
			s.Told.ExpiresInMs = left
			out = append(out, s)
		}
	}
	sortShown(out)
	return out
}

// Len is how many indicators are shown.
func (b *Board) Len() int { return len(b.shown) }

func (b *Board) take(which func(Shown) bool) (taken []Shown) {
	for key, s := range b.shown {
		if which(s) {
			taken = append(taken, s)
			delete(b.shown, key)
		}
	}
	sortShown(taken)
	return taken
}

func sortShown(all []Shown) {
	slices.SortFunc(all, func(a, b Shown) int {
		return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.User, b.User), cmp.Compare(a.Thread, b.Thread))
	})
}
