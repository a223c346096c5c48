package state

import (
	"time"

	"supmesh.dev/proto"
)

// every is how often one user's change is told at most, in milliseconds.
const every = int64(proto.PresenceEvery / time.Millisecond)

// own is the status that the user has set and that holds still.
func (r *Record) own(now int64) proto.Status {
	if r.Own.Until != 0 && r.Own.Until <= now {
		return ""
	}
	return r.Own.Status
}

func (r *Record) invisible(now int64) bool { return r.own(now) == proto.StatusOffline }

// Hides says whether the user does not want to be seen, there or not. It is as
// of the last Settle.
func (r *Record) Hides() bool { return r.Own.Status == proto.StatusOffline }

// present says whether a connection counts.
func (r *Record) present(now int64) bool {
	for i := range r.Conns {
		if c := &r.Conns[i]; c.live() || c.Until > now {
			return true
		}
	}
	return false
}

// Effective is what others see: what the user has set, else the best of the
// devices; offline without a connection that counts.
func (r *Record) Effective(now int64) proto.Status {
	if !r.present(now) {
		return proto.StatusOffline
	}
	if own := r.own(now); own != "" {
		return own
	}
	return r.best(now)
}

func (r *Record) best(now int64) proto.Status {
	best := proto.StatusOffline
	for i := range r.Conns {
		c := &r.Conns[i]
		switch {
		case !c.live() && c.Until <= now:
		case c.Status == proto.StatusAway:
			if best == proto.StatusOffline {
				best = proto.StatusAway
			}
		default:
			return proto.StatusOnline
		}
	}
	return best
}

// Actual is how the user is there, whatever they let others see: unknown where
// all that is known is that a gateway is dead.
func (r *Record) Actual(now int64) proto.Status {
	lost := false
	for i := range r.Conns {
		c := &r.Conns[i]
		if c.Lost {
			lost = lost || c.Until > now
		} else if c.live() || c.Until > now {
			if own := r.own(now); own != "" && own != proto.StatusOffline {
				return own
			}
			return r.best(now)
		}
	}
	if lost {
		return proto.StatusUnknown
	}
	return proto.StatusOffline
}

// custom is the custom status that others see. Of who looks offline they see none.
func (r *Record) custom(now int64) string {
	if r.Effective(now) == proto.StatusOffline || r.Own.Ends != 0 && r.Own.Ends <= now {
		return ""
	}
	return r.Own.Custom
}

// Publish is the change that others are to be told of, if there is one and it
// may be told now; the record then says that it has been.
func (r *Record) Publish(now int64) bool {
	status, custom := r.Effective(now), r.custom(now)
	if !r.differs(status, custom) || r.Shown.Version > 0 && now < r.Shown.At+every {
		return false
	}
	if r.Shown.Version == 0 {
		r.Shown.Version = uint64(now)
	} else {
		r.Shown.Version++
	}
	r.Shown.Status, r.Shown.Custom, r.Shown.At = status, custom, now
	return true
}

func (r *Record) differs(status proto.Status, custom string) bool {
	was := r.Shown.Status
	if was == "" {
		was = proto.StatusOffline
	}
	return was != status || r.Shown.Custom != custom
}

// Due is when the record must be looked at again though nothing happens; 0: never.
func (r *Record) Due(now int64) (at int64) {
	sooner := func(t int64) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	for i := range r.Conns {
		sooner(r.Conns[i].Until)
	}
	sooner(r.Own.Until)
	sooner(r.Own.Ends)
	sooner(r.Doubt)
	if at := r.Noted.At + noteEvery; at > now && !r.Noted.On && r.Effective(now) != proto.StatusOffline {
		sooner(at)
	}
	if r.differs(r.Effective(now), r.custom(now)) {
		sooner(r.Shown.At + every)
	}
	return at
}

// Presence is what others see: what they were told, and while a change waits for its turn
// still that.
func (r *Record) Presence(user string) proto.Presence {
	p := proto.Presence{UserID: user, Status: r.Shown.Status, CustomStatus: r.Shown.Custom, Version: r.Shown.Version}
	if p.Status == "" {
		p.Status = proto.StatusOffline
	}
	if p.Status == proto.StatusOffline && r.Seen > 0 {
		p.LastSeen = r.Seen
		at := proto.At(time.UnixMilli(r.Seen))
		p.LastSeenAt = &at
	}
	return p
}
