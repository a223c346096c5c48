package decide

import (
	"time"

	"supmesh.dev/proto"
)

// Rule is how one type of notification is shown and pushed.
type Rule struct {
	Priority    string
	Sound       bool
	PassesMute  bool          // of its chat
	PassesQuiet bool          // do-not-disturb
	For         time.Duration // how long a push of it is worth showing
}

// Rules is every type of notification, and of a message.
var Rules = map[proto.NotificationType]Rule{
	proto.NotifyMessage:     {Priority: proto.PriorityHigh, Sound: true, For: 24 * time.Hour},
	proto.NotifyMention:     {Priority: proto.PriorityHigh, Sound: true, PassesMute: true, For: 24 * time.Hour},
	proto.NotifyReply:       {Priority: proto.PriorityHigh, Sound: true, PassesMute: true, For: 24 * time.Hour},
	proto.NotifyCall:        {Priority: proto.PriorityHigh, Sound: true, PassesMute: true, PassesQuiet: true, For: proto.MaxRing},
	proto.NotifyCallMissed:  {Priority: proto.PriorityHigh, Sound: true, PassesMute: true, PassesQuiet: true, For: 24 * time.Hour},
	proto.NotifyInvite:      {Priority: proto.PriorityNormal, Sound: true, For: 24 * time.Hour},
	proto.NotifyChatUpdated: {Priority: proto.PriorityLow, For: time.Hour},
	proto.NotifyReaction:    {Priority: proto.PriorityLow, For: time.Hour},
	proto.NotifySystem:      {Priority: proto.PriorityNormal, Sound: true, For: 24 * time.Hour},
}

// ruleOf is a type's rule; that of what is not known is system's.
func ruleOf(t proto.NotificationType) Rule {
	if r, ok := Rules[t]; ok {
		return r
	}
	return Rules[proto.NotifySystem]
}
