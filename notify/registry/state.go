package registry

import (
	"slices"
	"time"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
)

// Registration is one way to push to a device.
type Registration struct {
	DeviceID string             `json:"deviceId"`
	Provider proto.PushProvider `json:"provider"`
	Token    string             `json:"token"`
	P256DH   string             `json:"p256dh,omitzero"`
	Auth     string             `json:"auth,omitzero"`
	VoIP     bool               `json:"voip,omitzero"` // for calls alone
	At       proto.Timestamp    `json:"at"`
}

// destination is where it goes, as a provider takes it.
func (r *Registration) destination() push.Registration {
	return push.Registration{Token: r.Token, P256DH: r.P256DH, Auth: r.Auth, VoIP: r.VoIP}
}

// Of finds a device's registration with a provider for a type: for a call the one
// that is for calls, where there is one; for anything else the other.
func (s *State) Of(device string, provider proto.PushProvider, t proto.NotificationType) (r Registration, ok bool) {
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.DeviceID != device || d.Provider != provider || d.VoIP && t != proto.NotifyCall {
			continue
		}
		if r, ok = *d, true; d.VoIP {
			return r, ok
		}
	}
	return r, ok
}

// String hides the tokens from whatever prints them.
func (Registration) String() string { return "***" }

// GoString hides them from %#v.
func (Registration) GoString() string { return "***" }

// same says whether two registrations stand for one another: of one device, with
// one provider, for the same use.
func (r *Registration) same(o *Registration) bool {
	return r.DeviceID == o.DeviceID && r.Provider == o.Provider && r.VoIP == o.VoIP
}

// equal says whether registering o changes nothing of r.
func (r *Registration) equal(o *Registration) bool {
	at := *o
	at.At = r.At
	return *r == at
}

// State is all there is of a user.
type State struct {
	Devices  []Registration   `json:"devices,omitzero"`
	Muted    []proto.Mute     `json:"muted,omitzero"` // sorted by chat
	DNDUntil *proto.Timestamp `json:"dndUntil,omitzero"`

	epoch    string
	position uint64 // of the entry; 0: there is none
}

// renewAfter is how old an equal registration is when registering again renews its time.
const renewAfter = 24 * time.Hour

// Register puts a registration in the place of the device's own with the provider,
// and of any with the same token. Where there are too many the oldest goes. It reports
// whether that changes anything: one that is equal and young stays as it is.
func (s *State) Register(r *Registration) (changed bool) {
	if slices.ContainsFunc(s.Devices, func(o Registration) bool { return o.equal(r) && r.At.Sub(o.At.Time) < renewAfter }) {
		return false
	}
	s.Devices = slices.DeleteFunc(s.Devices, func(o Registration) bool {
		return o.same(r) || o.Provider == r.Provider && o.Token == r.Token
	})
	for len(s.Devices) >= proto.MaxPushDevices {
		oldest := 0
		for i := range s.Devices {
			if s.Devices[i].At.Before(s.Devices[oldest].At.Time) {
				oldest = i
			}
		}
		s.Devices = slices.Delete(s.Devices, oldest, oldest+1)
	}
	s.Devices = append(s.Devices, *r)
	return true
}

// Unregister removes a device's registrations with a provider ("": any) and says how many.
func (s *State) Unregister(device string, provider proto.PushProvider) int {
	before := len(s.Devices)
	s.Devices = slices.DeleteFunc(s.Devices, func(o Registration) bool {
		return o.DeviceID == device && (provider == "" || o.Provider == provider)
	})
	return before - len(s.Devices)
}

// drop removes exactly this token of a device.
func (s *State) drop(device string, provider proto.PushProvider, token string) bool {
	before := len(s.Devices)
	s.Devices = slices.DeleteFunc(s.Devices, func(o Registration) bool {
		return o.DeviceID == device && o.Provider == provider && o.Token == token
	})
	return len(s.Devices) < before
}

// SetMute mutes or unmutes a chat; full says that there are too many.
func (s *State) SetMute(m *proto.Mute, now time.Time) (full bool) {
	s.Muted = slices.DeleteFunc(s.Muted, func(o proto.Mute) bool { return o.ChatID == m.ChatID })
	if !m.Muted || m.Until != nil && !m.Until.After(now) {
		return false
	}
	if len(s.Muted) >= proto.MaxMutes {
		return true
	}
	at, _ := slices.BinarySearchFunc(s.Muted, m.ChatID, compareMute)
	s.Muted = slices.Insert(s.Muted, at, *m)
	return false
}

func compareMute(m proto.Mute, chat string) int {
	switch {
	case m.ChatID < chat:
		return -1
	case m.ChatID > chat:
		return 1
	}
	return 0
}

// At is the state without what is over by then.
func (s *State) At(now time.Time) {
	s.Muted = slices.DeleteFunc(s.Muted, func(m proto.Mute) bool { return m.Until != nil && !m.Until.After(now) })
	if s.DNDUntil != nil && !s.DNDUntil.After(now) {
		s.DNDUntil = nil
	}
}

// Muting says whether a chat is muted.
func (s *State) Muting(chat string, now time.Time) bool {
	at, found := slices.BinarySearchFunc(s.Muted, chat, compareMute)
	return found && (s.Muted[at].Until == nil || s.Muted[at].Until.After(now))
}

// Quiet says whether the user is not to be disturbed.
func (s *State) Quiet(now time.Time) bool { return s.DNDUntil != nil && s.DNDUntil.After(now) }
