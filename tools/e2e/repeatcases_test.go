package e2e

import (
	"fmt"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// id is a name that no other case has.
func (r *repeats) id(what string) string {
	r.n++
	return fmt.Sprintf("%s%d", what, r.n)
}

// chat makes a chat.
func (r *repeats) chat(users ...string) string {
	id := r.id("chat")
	var members []proto.Member
	for _, u := range users {
		members = append(members, proto.Member{UserID: u})
	}
	must(r, proto.PutChat, backendActor, proto.PutChatReq{ChatID: id, Members: members})
	return id
}

func (r *repeats) send(chat, user string) proto.Message {
	return must(r, proto.SendMessage, userActor(user), proto.SendMessageReq{ChatID: chat, EncryptedContent: "x", TempID: r.id("tmp")}).Message
}

// notice is a notification of a user that is there.
func (r *repeats) notice(user string) string {
	must(r, proto.SendNotification, backendActor, proto.NotifyReq{UserIDs: []string{user}, Type: proto.NotifySystem, Title: r.id("title")})
	title := fmt.Sprint("title", r.n)
	id := ""
	mesh.Eventually(r.t, 30*seconds, "the notification is there", func() bool {
		for _, n := range must(r, proto.PendingNotifications, userActor(user), proto.PendingNotificationsReq{}).Notifications {
			if n.Title == title {
				id = n.ID
			}
		}
		return id != ""
	})
	return id
}

func (r *repeats) call(caller, callee string) string {
	id := r.id("call")
	must(r, proto.InitiateCall, userActor(caller), proto.InitiateCallReq{CallID: id, TargetUserID: callee, CallType: proto.CallAudio, Offer: &proto.Sdp{Type: "offer", SDP: "v=0"}})
	return id
}

var anAnswer = proto.Sdp{Type: "answer", SDP: "v=0"}

func (r *repeats) talk(caller, callee string) string {
	id := r.call(caller, callee)
	must(r, proto.AnswerCall, userActor(callee), proto.AnswerCallReq{CallID: id, Answer: anAnswer})
	return id
}

// reads is a case of a row that only reads.
func reads(actor proto.Actor, req func() any, masks ...string) []repeat {
	return []repeat{{actor: actor, req: req, masks: masks}}
}

func (r *repeats) cases() map[string][]repeat {
	all := map[string][]repeat{}
	for _, of := range []map[string][]repeat{r.chatCases(), r.memberCases(), r.presenceCases(), r.registryCases(), r.callCases(), r.mediaCases(), r.reactionCases(), r.notifyCases(), r.deviceCases()} {
		for subject, cases := range of {
			all[subject] = append(all[subject], cases...)
		}
	}
	return all
}

func (r *repeats) chatCases() map[string][]repeat {
	chat := r.chat("ann", "bob")
	m := r.send(chat, "ann")
	history := probe{proto.History.Row, userActor("bob"), proto.HistoryReq{ChatID: chat}}
	join := probe{proto.JoinChat.Row, userActor("bob"), proto.JoinChatReq{ChatID: chat}}
	remove := func(id *string) func() {
		return func() {
			must(r, proto.DeleteMessage, userActor("ann"), proto.DeleteReq{ChatID: chat, MessageID: *id, ForEveryone: true})
		}
	}
	last := func() string {
		h := must(r, proto.History, userActor("bob"), proto.HistoryReq{ChatID: chat})
		var newest proto.Message
		for _, raw := range h.Messages {
			var m proto.NewMessage
			decode(r.t, raw, &m)
			if m.Message.Seq > newest.Seq {
				newest = m.Message
			}
		}
		return newest.ID
	}
	var sent string
	return map[string][]repeat{
		proto.SendMessage.Subject: {
			{name: "tempId", actor: userActor("ann"), req: func() any {
				return proto.SendMessageReq{ChatID: chat, EncryptedContent: "once", TempID: r.id("tmp")}
			}, state: []probe{history, join}, end: func() { sent = last(); remove(&sent)() }, masks: []string{"duplicate"}, now: true},
			{name: "none", actor: userActor("ann"), req: func() any {
				return proto.SendMessageReq{ChatID: chat, EncryptedContent: "once"}
			}, state: []probe{history, join}, end: func() { sent = last(); remove(&sent)() }, masks: []string{"duplicate"}, now: true},
		},
		proto.MarkDelivered.Subject: {{actor: userActor("bob"), req: func() any { return proto.DeliveredReq{ChatID: chat, UpToSeq: m.Seq} }, state: []probe{join}, masks: []string{"deliveredAt"}}},
		proto.MarkRead.Subject:      {{actor: userActor("bob"), req: func() any { return proto.ReadReq{ChatID: chat, UpToSeq: m.Seq} }, state: []probe{join}, end: func() { r.send(chat, "ann") }, masks: []string{"readAt"}, now: true}},
		proto.History.Subject:       reads(userActor("bob"), func() any { return history.req }),
		proto.SyncPull.Subject:      reads(userActor("bob"), func() any { return proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: chat}}} }),
		proto.EditMessage.Subject: {{actor: userActor("ann"), req: func() any {
			return proto.EditReq{ChatID: chat, MessageID: m.ID, EncryptedContent: "first"}
		}, state: []probe{history}, end: func() {
			must(r, proto.EditMessage, userActor("ann"), proto.EditReq{ChatID: chat, MessageID: m.ID, EncryptedContent: "second"})
		}, now: true}},
		proto.DeleteMessage.Subject: {
			{name: "for everyone", actor: userActor("ann"), req: func() any {
				return proto.DeleteReq{ChatID: chat, MessageID: r.send(chat, "ann").ID, ForEveryone: true}
			}, state: []probe{history}},
			{name: "for oneself", actor: userActor("bob"), req: func() any {
				return proto.DeleteReq{ChatID: chat, MessageID: r.send(chat, "ann").ID}
			}, state: []probe{history}},
		},
		proto.ActiveMembers.Subject:    reads(userActor("bob"), func() any { return proto.ActiveMembersReq{ChatID: chat} }),
		proto.OpenDevice.Subject:       reads(userActor("bob"), func() any { return proto.OpenReq{} }, "newDevice", "position"),
		proto.Backlog.Subject:          reads(userActor("bob"), func() any { return proto.BacklogReq{Chats: []proto.BacklogChat{{ChatID: chat, UpToSeq: 1}}, Limit: 10} }),
		proto.SharedChats.Subject:      reads(proto.Actor{}, func() any { return proto.SharedChatsReq{UserID: "ann", UserIDs: []string{"bob"}} }),
		proto.MembersAmong.Subject:     reads(proto.Actor{}, func() any { return proto.AmongReq{ChatID: chat, UserIDs: []string{"bob", "eve"}} }),
		proto.FindMessage.Subject:      reads(proto.Actor{}, func() any { return proto.FindMessageReq{UserID: "bob", ChatID: chat, MessageID: m.ID} }),
		proto.UnreachedMembers.Subject: reads(proto.Actor{}, func() any { return proto.UnreachedReq{ChatID: chat, Seq: 1, Limit: 10} }),
	}
}

func (r *repeats) memberCases() map[string][]repeat {
	chat := r.chat("ann", "bob")
	get := probe{proto.GetChat.Row, backendActor, proto.GetChatReq{ChatID: chat}}
	name, other := "one", "other"
	add := func(user string) {
		must(r, proto.AddMembers, backendActor, proto.AddMembersReq{ChatID: chat, UserID: user})
	}
	remove := func(user string) {
		must(r, proto.RemoveMember, backendActor, proto.RemoveMemberReq{ChatID: chat, UserID: user})
	}
	gone := r.chat("cat")
	return map[string][]repeat{
		proto.JoinChat.Subject: {{actor: userActor("cat"), req: func() any { return proto.JoinChatReq{ChatID: gone} }, end: func() {
			must(r, proto.RemoveMember, backendActor, proto.RemoveMemberReq{ChatID: gone, UserID: "cat"})
		}, now: true}},
		proto.JoinChats.Subject: reads(userActor("bob"), func() any { return proto.JoinChatsReq{ChatIDs: []string{chat, "none"}} }),
		proto.PutChat.Subject: {{actor: backendActor, req: func() any {
			return proto.PutChatReq{ChatID: chat, Name: &name, Members: []proto.Member{{UserID: "dan"}}}
		}, state: []probe{get}, end: func() {
			must(r, proto.PatchChat, backendActor, proto.PutChatReq{ChatID: chat, Name: &other})
			remove("dan")
		}, masks: []string{"created"}, now: true}},
		proto.PatchChat.Subject: {{actor: backendActor, req: func() any { return proto.PutChatReq{ChatID: chat, Description: &name} }, state: []probe{get}, end: func() {
			must(r, proto.PatchChat, backendActor, proto.PutChatReq{ChatID: chat, Description: &other})
		}, now: true}},
		proto.GetChat.Subject: reads(backendActor, func() any { return get.req }),
		proto.AddMembers.Subject: {{actor: backendActor, req: func() any { return proto.AddMembersReq{ChatID: chat, UserID: "eve"} }, state: []probe{get},
			end: func() { remove("eve") }, masks: []string{"changed"}, now: true}},
		proto.RemoveMember.Subject: {{actor: backendActor, before: func() { add("fay") }, req: func() any { return proto.RemoveMemberReq{ChatID: chat, UserID: "fay"} },
			state: []probe{get}, end: func() { add("fay") }, masks: []string{"changed"}, now: true}},
	}
}

func (r *repeats) reactionCases() map[string][]repeat {
	chat := r.chat("ann", "bob")
	m := r.send(chat, "ann")
	react := proto.ReactReq{MessageID: m.ID, ChatID: chat, Reaction: "👍"}
	get := probe{proto.GetReactions.Row, userActor("ann"), proto.GetReactionsReq{MessageID: m.ID, ChatID: chat}}
	return map[string][]repeat{
		proto.AddReaction.Subject: {{actor: userActor("bob"), req: func() any { return react }, state: []probe{get},
			end: func() { must(r, proto.RemoveReaction, userActor("bob"), react) }, now: true}},
		proto.RemoveReaction.Subject: {{actor: userActor("ann"), before: func() { must(r, proto.AddReaction, userActor("ann"), react) }, req: func() any { return react },
			state: []probe{get}, end: func() { must(r, proto.AddReaction, userActor("ann"), react) }, masks: []string{"removed"}, now: true}},
		proto.GetReactions.Subject:       reads(userActor("ann"), func() any { return get.req }),
		proto.SummarizeReactions.Subject: reads(userActor("ann"), func() any { return proto.ReactionSummaryReq{ChatID: chat, MessageIDs: []string{m.ID}} }),
	}
}

func (r *repeats) notifyCases() map[string][]repeat {
	pending := func(user string) []probe {
		return []probe{{proto.PendingNotifications.Row, userActor(user), proto.PendingNotificationsReq{}}}
	}
	arrives := func(user string) func() { return func() { r.notice(user) } }
	return map[string][]repeat{
		proto.SendNotification.Subject: {{actor: backendActor, req: func() any {
			return proto.NotifyReq{UserIDs: []string{"n0"}, Type: proto.NotifySystem, Title: r.id("title")}
		}, end: func() {
			title := fmt.Sprint("title", r.n)
			mesh.Eventually(r.t, 30*seconds, "it has come", func() bool {
				all := must(r, proto.PendingNotifications, userActor("n0"), proto.PendingNotificationsReq{}).Notifications
				return len(all) == 1 && all[0].Title == title
			})
			must(r, proto.ClearNotifications, userActor("n0"), proto.ClearNotificationsReq{})
		}, state: nil, now: true}},
		proto.ReadNotifications.Subject: {{name: "all", actor: userActor("n1"), before: arrives("n1"), req: func() any { return proto.ReadNotificationsReq{All: true} },
			state: pending("n1"), end: arrives("n1"), now: true}},
		proto.ClearNotification.Subject: {{actor: userActor("n2"), req: func() any { return proto.ClearNotificationReq{NotificationID: r.notice("n2")} },
			state: pending("n2"), end: arrives("n2"), now: true}},
		proto.ClearNotifications.Subject: {{actor: userActor("n3"), before: arrives("n3"), req: func() any { return proto.ClearNotificationsReq{} },
			state: pending("n3"), end: arrives("n3"), masks: []string{"cleared"}, now: true}},
		proto.PendingNotifications.Subject: reads(userActor("n1"), func() any { return proto.PendingNotificationsReq{} }),
	}
}

func (r *repeats) deviceCases() map[string][]repeat {
	until := proto.At(time.Now().Add(time.Hour))
	prefs := []probe{{proto.NotifyPreferences.Row, userActor("p1"), proto.NotifyPrefsReq{}}}
	mute := func(muted bool) proto.NotifyPrefsReq {
		return proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "a-chat", Muted: muted}}
	}
	register := proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "http://127.0.0.1:1/push"}
	drop := func(user string) { must(r, proto.UnregisterDevice, userActor(user), proto.UnregisterDeviceReq{}) }
	return map[string][]repeat{
		proto.NotifyPreferences.Subject: {
			{name: "mute", actor: userActor("p1"), req: func() any { return mute(true) }, state: prefs,
				end: func() { must(r, proto.NotifyPreferences, userActor("p1"), mute(false)) }, now: true},
			{name: "do not disturb", actor: userActor("p1"), req: func() any { return proto.NotifyPrefsReq{DoNotDisturbUntil: &until} }, state: prefs, end: func() {
				must(r, proto.NotifyPreferences, userActor("p1"), proto.NotifyPrefsReq{DoNotDisturbUntil: &proto.Timestamp{}})
			}, now: true},
		},
		proto.RegisterDevice.Subject: {{actor: userActor("p2"), req: func() any { return register }, end: func() { drop("p2") }, now: true}},
		proto.UnregisterDevice.Subject: {{actor: userActor("p3"), before: func() { must(r, proto.RegisterDevice, userActor("p3"), register) },
			req: func() any { return proto.UnregisterDeviceReq{} }, end: func() { must(r, proto.RegisterDevice, userActor("p3"), register) }, masks: []string{"removed"}, now: true}},
		proto.PushConfig.Subject: reads(userActor("p1"), func() any { return proto.PushConfigReq{} }),
	}
}
