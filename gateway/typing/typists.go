package typing

import (
	"cmp"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// Every is how often a typist is told again, at most.
const Every = 2 * time.Second

// typist is one who types on a socket of this gateway.
type typist struct {
	shown  Shown     // as the others were told
	socket string    // the one that typed last
	told   time.Time // when they were
}

// Typists are those of one chat who type on this gateway, so that they are told
// sparingly and their end is told at all. The zero Typists is empty. It is
// independent of who views: a typist need not, and the viewers may be elsewhere.
type Typists struct{ active map[Key]typist }

// Start notes that somebody types. True: the others are to be told now. False:
// they were within Every, or there are too many typists.
func (t *Typists) Start(key Key, socket string, what proto.Typing, now time.Time) (tell bool) {
	was, known := t.active[key]
	if known && now.Sub(was.told) < Every {
		was.socket = socket
		t.active[key] = was
		return false
	}
	if !known && len(t.active) >= MaxShown {
		t.forget(now)
		if len(t.active) >= MaxShown {
			return false
		}
	}
	if t.active == nil {
		t.active = make(map[Key]typist)
	}
	t.active[key] = typist{shown: Shown{key, what, now.Add(For)}, socket: socket, told: now}
	return true
}

// Stop ends the typing of a user in a thread, or all of the user's where all is
// true, and returns what the others have to be told of.
func (t *Typists) Stop(key Key, all bool, now time.Time) (tell []Key) {
	return t.take(now, func(k Key, _ typist) bool { return k == key || all && k.User == key.User })
}

// Quit is Stop for what was typed on a socket that is gone.
func (t *Typists) Quit(socket string, now time.Time) (tell []Key) {
	return t.take(now, func(_ Key, was typist) bool { return was.socket == socket })
}

// Current is who types, with what is left of each as of now.
func (t *Typists) Current(now time.Time) []Shown {
	out := make([]Shown, 0, len(t.active))
	for _, was := range t.active {
		if left := was.shown.Ends.Sub(now).Milliseconds(); left > 0 {
			was.shown.Told.ExpiresInMs = left
			out = append(out, was.shown)
		}
	}
	sortShown(out)
	return out
}

// Len is how many are kept, those included whom the others have forgotten.
func (t *Typists) Len() int { return len(t.active) }

// take removes typists and returns those that the others still show.
func (t *Typists) take(now time.Time, which func(Key, typist) bool) (shown []Key) {
	for k, was := range t.active {
		if !which(k, was) {
			continue
		}
		if now.Before(was.shown.Ends) {
			shown = append(shown, k)
		}
		delete(t.active, k)
	}
	slices.SortFunc(shown, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Thread, b.Thread))
	})
	return shown
}

func (t *Typists) forget(now time.Time) {
	t.take(now, func(_ Key, was typist) bool { return !now.Before(was.shown.Ends) })
}
