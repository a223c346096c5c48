package state

import (
	"fmt"
	"time"

	"supmesh.dev/proto"
)

// Update is presence:update of one device. online and away are the device's; busy
// and offline are the user's, until online is said by any device, or away by the
// one that set them. The connection need not be known: then only what is the user's counts.
func (r *Record) Update(req *proto.UpdatePresenceReq, device, socket string, now int64) error {
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
		r.Own.Status, r.Own.Until, r.Own.By = wanted, until, device
	default:
		if wanted == proto.StatusOnline || r.Own.By == device {
			r.Own.Status, r.Own.Until, r.Own.By = "", 0, ""
		}
		for i := range r.Conns {
			if r.Conns[i].Socket == socket {
				r.Conns[i].Status = wanted
			}
		}
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

// Adopt takes what a gateway remembers of what the user has set, where it is newer.
func (r *Record) Adopt(own *proto.OwnPresence) {
	if own == nil || own.At <= r.Own.At {
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
