package decide

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Job is a push, and the key under which the same again is stored once.
type Job struct {
	Key  string
	Push proto.Push
}

// OfMessage is the pushes of a message to users of whom no device has confirmed it.
// chatName is the chat's; empty: it has none. The sender, and those who are notified
// of it anyway (see Named), are not to be among them.
func OfMessage(e *Entry, m *proto.NewMessage, chatName string, users []User, now time.Time) []Job {
	body := "New message"
	title := first(m.Sender.Username, m.Message.SenderID)
	if chatName != "" {
		title, body = chatName, "New message from "+title
	}
	expires := e.Stored.Add(ruleOf(proto.NotifyMessage).For)
	if at := m.Message.ExpiresAt; at != nil && at.Before(expires) {
		expires = at.Time
	}
	one := proto.Push{
		NotificationID: m.Message.ID, Type: proto.NotifyMessage, Title: short(title, proto.MaxTitle), Message: short(body, proto.MaxNotificationText),
		ChatID: m.Message.ChatID, MessageID: m.Message.ID, CollapseKey: ChatCollapse(m.Message.ChatID), Sound: true,
		CreatedAt: proto.At(e.Stored), ExpiresAt: proto.At(expires), After: e.Position,
	}
	return jobs(one, m.Message.SenderID, users, now)
}

// OfNotice is the pushes of a stored notification to its user: to the devices that
// have no connection, and so have not got it.
func OfNotice(e *Entry, n *proto.Notification, user User, now time.Time) []Job {
	one := proto.Push{
		NotificationID: n.ID, Type: n.Type, Title: n.Title, Message: n.Message, Data: n.Data, ChatID: n.ChatID, MessageID: n.MessageID,
		Priority: n.Priority, Sound: n.Sound, CollapseKey: NoticeCollapse(n),
		CreatedAt: proto.At(e.Stored), ExpiresAt: proto.At(e.Stored.Add(ruleOf(n.Type).For)), After: e.Position,
	}
	user.Devices = slices.DeleteFunc(slices.Clone(user.Devices), func(d Device) bool { return slices.Contains(user.Connected, d.ID) })
	return jobs(one, n.FromUserID, []User{user}, now)
}

// OfRing is the pushes that follow from an entry of a user's calls: an incoming call
// to every device, and at its end its withdrawal from every device.
func OfRing(e *Entry, user User, now time.Time) ([]Job, error) {
	switch {
	case e.is(proto.KindRing, proto.IncomingCallEvent.Name):
		c, err := read[proto.IncomingCall](e)
		if err != nil {
			return nil, err
		}
		data, err := wire.Marshal(callData{c.CallID, c.CallerID, c.CallType})
		if err != nil {
			return nil, err
		}
		title := short(first(c.CallerName, c.CallerID), proto.MaxTitle)
		return jobs(proto.Push{
			NotificationID: c.CallID, Type: proto.NotifyCall, Title: title, Message: "Incoming " + string(c.CallType) + " call", ChatID: c.ChatID,
			Sound: true, CollapseKey: CallCollapse(c.CallID), CreatedAt: proto.At(e.Stored), ExpiresAt: c.ExpiresAt, After: e.Position,
			Data: data,
		}, c.CallerID, []User{user}, now), nil
	case e.is(proto.KindRing, proto.CallEndEvent.Name):
		c, err := read[proto.CallEnd](e)
		if err != nil {
			return nil, err
		}
		return Withdraw(proto.NotifyCall, CallCollapse(c.CallID), c.CallID, e, user, now), nil
	case e.Kind == proto.KindCalls:
		c, err := read[proto.CallRecord](e)
		if err != nil || c.Direction != proto.CallFrom || c.EndedAt == nil {
			return nil, err
		}
		return Withdraw(proto.NotifyCall, CallCollapse(c.CallID), c.CallID, e, user, now), nil
	}
	return nil, nil
}

// callData is what an app needs to ring before it is connected.
type callData struct {
	CallID   string         `json:"callId"`
	CallerID string         `json:"callerId"`
	CallType proto.CallType `json:"callType"`
}

// WithdrawFor is how long it is tried to take back what stands on a device, at the
// least: a push whose own time is shorter may still stand there.
const WithdrawFor = 24 * time.Hour

// Withdraw takes back what was pushed under a collapse key before an entry, whatever
// the user has set since.
func Withdraw(t proto.NotificationType, collapseKey, id string, e *Entry, user User, now time.Time) []Job {
	var out []Job
	rule := ruleOf(t)
	p := proto.Push{
		UserID: user.ID, NotificationID: id, Type: t, CollapseKey: collapseKey, Withdraw: true, Priority: rule.Priority, Badge: user.Unread,
		CreatedAt: proto.At(e.Stored), ExpiresAt: proto.At(e.Stored.Add(max(WithdrawFor, rule.For))), After: e.Position,
	}
	if !now.Before(p.ExpiresAt.Time) {
		return nil
	}
	for _, d := range user.devices(t) {
		p.DeviceID, p.Provider = d.ID, d.Provider
		out = append(out, Job{Key: KeyOf(&p), Push: p})
	}
	return out
}

// jobs is one push to each device of those users who may be disturbed with it.
func jobs(one proto.Push, actor string, users []User, now time.Time) []Job {
	rule := ruleOf(one.Type)
	if !now.Before(one.ExpiresAt.Time) {
		return nil
	}
	if one.Priority == "" {
		one.Priority = rule.Priority
	}
	var out []Job
	for _, u := range users {
		if u.ID == actor || u.Blocked || !u.May(one.Type, one.ChatID, now) {
			continue
		}
		p := one
		p.UserID = u.ID
		p.Sound = one.Sound && rule.Sound && (!u.Busy || rule.PassesQuiet)
		p.Badge = u.Unread + int(min(u.Messages, 1<<20))
		for _, d := range u.devices(one.Type) {
			p.DeviceID, p.Provider = d.ID, d.Provider
			out = append(out, Job{Key: KeyOf(&p), Push: p})
		}
	}
	return out
}

// KeyOf is the same on every repeat of one push to one device.
func KeyOf(p *proto.Push) string {
	parts := []string{p.UserID, p.DeviceID, string(p.Provider), string(p.Type), p.NotificationID, strconv.FormatBool(p.Withdraw)}
	for i := range parts {
		parts[i] = strconv.Quote(parts[i])
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ",")))
	return "push:" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
