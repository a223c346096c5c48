package state

import (
	"fmt"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// Asked is a request of one connection.
type Asked struct {
	Device, Socket string
	Request        string // its id, which its repeats share
	At             int64  // its deadline, Unix milliseconds: a later request of the connection has none before
}

// maxAsked bounds the requests that a connection remembers: those of one millisecond.
const maxAsked = 4

// asked notes a request of the connection that is carried out.
func (c *Conn) asked(from *Asked) {
	c.AskedAt = from.At
	if from.Request == "" {
		return
	}
	c.Asked = append(slices.Clone(c.Asked), from.Request) // not to write into a clone's
	if n := len(c.Asked) - maxAsked; n > 0 {
		c.Asked = c.Asked[n:]
	}
}

// Update is presence:update of one device. online and away are the device's; busy
// and offline are the user's, until online is said by any device, or away by the
// one that set them. The connection need not be known: then only what is the user's counts.
// A repeat, or an update that comes after a later one of the connection, changes nothing.
func (r *Record) Update(req *proto.UpdatePresenceReq, from *Asked, now int64) error {
	at := slices.IndexFunc(r.Conns, func(c Conn) bool { return c.Socket == from.Socket })
	if at >= 0 && (from.At < r.Conns[at].AskedAt || slices.Contains(r.Conns[at].Asked, from.Request)) {
		return nil
	}
	until := int64(0)
	if req.Until != nil {
		if until = req.Until.UnixMilli(); until <= now {
			return proto.FieldError("until", fmt.Errorf("must be in the future"))
		}
	}
	wanted := req.Wanted()
	switch wanted {
	case proto.StatusBusy, proto.StatusOffline:
		if wanted == proto.StatusOffline && !r.invisible(now) && r.present(now) {
			r.Seen = max(r.Seen, now)
		}
		r.Own.Status, r.Own.Until, r.Own.By = wanted, until, from.Device
	default:
		if wanted == proto.StatusOnline || r.Own.By == from.Device {
			r.Own.Status, r.Own.Until, r.Own.By = "", 0, ""
		}
		for i := range r.Conns {
			if r.Conns[i].Socket == from.Socket {
				r.Conns[i].Status = wanted
			}
		}
	}
	if at >= 0 {
		r.Conns[at].asked(from)
	}
	if req.CustomStatus != nil {
		r.Own.Custom, r.Own.Ends = *req.CustomStatus, until
		if r.Own.Custom == "" {
			r.Own.Ends = 0
		}
	}
	r.Own.At = max(now, r.Own.At+1)
	return nil
}

// Same reports whether two say the same, whenever they were set.
func (o Own) Same(other Own) bool {
	o.At = other.At
	return o == other
}

// Nothing reports that nothing is known of the user but that the log has nothing.
func (r *Record) Nothing() bool {
	return len(r.Conns) == 0 && r.Own == Own{} && r.Fence == 0 && r.Seen == 0 && r.Shown == Shown{} && r.Doubt == 0
}

// Stale reports whether what the user has set must be read from the log first.
func (r *Record) Stale(now int64) bool { return !r.Read || r.Doubt != 0 && r.Doubt <= now }

// DoubtFrom notes that Own may be older than the log from a moment on.
func (r *Record) DoubtFrom(at int64) { r.Doubt = max(r.Doubt, at) }

// Restore takes what the user has set from its entry of the log; own is nil if there is
// none. A doubt that is due ends.
func (r *Record) Restore(position uint64, own *proto.OwnPresence, now int64) {
	r.Read, r.Position = true, position
	if r.Doubt <= now {
		r.Doubt = 0
	}
	if own == nil {
		return
	}
	r.Own = Own{Status: own.Status, By: own.By, Custom: own.CustomStatus, At: own.At}
	if own.StatusUntil != nil {
		r.Own.Until = own.StatusUntil.UnixMilli()
	}
	if own.CustomUntil != nil {
		r.Own.Ends = own.CustomUntil.UnixMilli()
	}
}

// OwnPresence is what the user has set, for the wire; nil if nothing ever was.
func (r *Record) OwnPresence() *proto.OwnPresence {
	if r.Own.At == 0 {
		return nil
	}
	return &proto.OwnPresence{
		Status: r.Own.Status, StatusUntil: timestamp(r.Own.Until), CustomStatus: r.Own.Custom,
		CustomUntil: timestamp(r.Own.Ends), By: r.Own.By, At: r.Own.At,
	}
}

func timestamp(ms int64) *proto.Timestamp {
	if ms == 0 {
		return nil
	}
	t := proto.At(time.UnixMilli(ms))
	return &t
}
