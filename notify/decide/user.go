package decide

import (
	"slices"
	"time"

	"supmesh.dev/proto"
)

// Device is one way to push to a user: a device with a provider.
type Device struct {
	ID       string
	Provider proto.PushProvider
	VoIP     bool // for calls alone
}

// Prefs is what a user has set, and where they can be pushed to.
type Prefs struct {
	Devices    []Device
	Muted      []proto.Mute
	QuietUntil time.Time // do-not-disturb; zero: none
	Unread     int       // notifications
}

// Muted says whether a chat does not disturb at a moment.
func (p *Prefs) muted(chat string, at time.Time) bool {
	return chat != "" && slices.ContainsFunc(p.Muted, func(m proto.Mute) bool {
		return m.ChatID == chat && m.Muted && (m.Until == nil || at.Before(m.Until.Time))
	})
}

// User is everything that is known of who may get a push.
type User struct {
	ID string
	Prefs
	Messages  uint64   // unread in the chat that it is about
	Busy      bool     // presence says so
	Blocked   bool     // one of the user and who acts has blocked the other
	Connected []string // devices that have a connection
}

// May says whether the user's settings allow a push of a type, about a chat, at all.
// It needs no more than Prefs: what it refuses nobody else has to be asked about.
func (p *Prefs) May(t proto.NotificationType, chat string, now time.Time) bool {
	rule := ruleOf(t)
	return len(p.devices(t)) > 0 &&
		(rule.PassesMute || !p.muted(chat, now)) &&
		(rule.PassesQuiet || !now.Before(p.QuietUntil))
}

// devices are those a type is pushed to: for a call, of a device that has a VoIP
// token that one alone; for anything else no VoIP token.
func (p *Prefs) devices(t proto.NotificationType) []Device {
	var out []Device
	for _, d := range p.Devices {
		one := Device{ID: d.ID, Provider: d.Provider}
		switch {
		case t != proto.NotifyCall && d.VoIP:
			continue
		case t == proto.NotifyCall && !d.VoIP && slices.ContainsFunc(p.Devices, func(o Device) bool { return o.ID == d.ID && o.VoIP }):
			continue
		}
		one.VoIP = d.VoIP
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}
