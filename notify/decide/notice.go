package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"supmesh.dev/proto"
)

// Bounds of a NotifyReq that ids of people may not pass.
const (
	maxKey      = 200
	maxCollapse = 64
)

// Notices is what somebody is notified of by an entry, the users in parts of at most
// proto.MaxNotifyUsers. answered is who wrote the message that one is a reply to;
// empty: nobody knows, or it is none. Who of the users may still see the chat is
// the caller's to look at.
func Notices(e *Entry, answered string, now time.Time) ([]proto.NotifyReq, error) {
	switch {
	case e.is(proto.KindMessage, proto.MessageNew.Name):
		return ofMessage(e, answered, now)
	case e.is(proto.KindReaction, proto.ReactionEvent.Name):
		return ofReaction(e)
	case e.is(proto.KindMeta, proto.MemberJoinedEvent.Name):
		return ofJoin(e)
	case e.is(proto.KindMeta, proto.ChatUpdatedEvent.Name):
		return ofUpdate(e)
	}
	return nil, nil
}

// Named is who is notified of a message itself: those it mentions, and the author of
// the message that it answers, but never its own author.
func Named(m *proto.Message, answered string) (mentioned []string, replied string) {
	for _, user := range m.Mentions {
		if user != m.SenderID && !slices.Contains(mentioned, user) {
			mentioned = append(mentioned, user)
		}
	}
	if m.ReplyToID != "" && answered != m.SenderID && !slices.Contains(mentioned, answered) {
		replied = answered
	}
	return mentioned, replied
}

func ofMessage(e *Entry, answered string, now time.Time) ([]proto.NotifyReq, error) {
	sent, err := e.Message()
	if err != nil {
		return nil, err
	}
	m := &sent.Message
	one, ok := about(m, sent.Sender.Username, now)
	if !ok {
		return nil, nil
	}
	var out []proto.NotifyReq
	mentioned, replied := Named(m, answered)
	if len(mentioned) > 0 {
		r := one
		r.UserIDs, r.Type, r.Message, r.Key = mentioned, proto.NotifyMention, mentionText, key("mention", m.ID)
		out = append(out, r)
	}
	if replied != "" {
		r := one
		r.UserIDs, r.Type, r.Message, r.Key = []string{replied}, proto.NotifyReply, "Replied to you", key("reply", m.ID)
		out = append(out, r)
	}
	return finish(out), nil
}

const mentionText = "Mentioned you"

// about is what all notifications of a message have in common; ok is false for one that
// expires before it is worth any.
func about(m *proto.Message, senderName string, now time.Time) (r proto.NotifyReq, ok bool) {
	var ttl *int
	if m.ExpiresAt != nil { // no longer than what it is about
		left := int(m.ExpiresAt.Sub(now) / time.Second)
		if left < proto.MinNotificationTTL {
			return r, false
		}
		ttl = new(min(left, proto.MaxTTL))
	}
	return proto.NotifyReq{
		Title: short(first(senderName, m.SenderID), proto.MaxTitle), FromUserID: m.SenderID, ChatID: m.ChatID, MessageID: m.ID, TTLSec: ttl,
	}, true
}

// OfEdit is the notification of those whom an edit of a message mentions for the first
// time, or again. now is the message as it is by now: who is not mentioned any more is left
// out. Each adding has a key of its own.
func OfEdit(edit *proto.MessageEdited, now *proto.FindMessageRes, at time.Time) []proto.NotifyReq {
	if now.Deleted {
		return nil
	}
	m := proto.Message{ID: edit.MessageID, ChatID: edit.ChatID, SenderID: now.SenderID, ExpiresAt: now.ExpiresAt}
	for _, user := range edit.MentionsAdded {
		if slices.Contains(now.Mentions, user) {
			m.Mentions = append(m.Mentions, user)
		}
	}
	mentioned, _ := Named(&m, "")
	r, ok := about(&m, now.SenderName, at)
	if !ok || len(mentioned) == 0 {
		return nil
	}
	r.UserIDs, r.Type, r.Message = mentioned, proto.NotifyMention, mentionText
	r.Key = key("mention", m.ID, number(edit.Version))
	return finish([]proto.NotifyReq{r})
}

func ofReaction(e *Entry) ([]proto.NotifyReq, error) {
	r, err := read[proto.Reaction](e)
	if err != nil || r.Action != proto.ReactionAdd || r.Author == "" || r.Author == r.UserID {
		return nil, err
	}
	return finish([]proto.NotifyReq{{
		UserIDs: []string{r.Author}, Type: proto.NotifyReaction, Title: short(first(r.UserName, r.UserID), proto.MaxTitle),
		Message: "Reacted " + r.Reaction + " to your message", FromUserID: r.UserID, ChatID: r.ChatID, MessageID: r.MessageID,
		CollapseKey: collapse("react", r.MessageID), Key: key("react", r.MessageID, r.UserID),
	}}), nil
}

func ofJoin(e *Entry) ([]proto.NotifyReq, error) {
	j, err := read[proto.MemberJoined](e)
	if err != nil || j.Kind != proto.KindMembership || j.UserID == j.AddedBy {
		return nil, err
	}
	return finish([]proto.NotifyReq{invite([]string{j.UserID}, j.AddedBy, j.ChatID, "", e.Position)}), nil
}

func ofUpdate(e *Entry) ([]proto.NotifyReq, error) {
	u, err := read[proto.ChatUpdated](e)
	if err != nil {
		return nil, err
	}
	by := u.UpdatedBy
	if by == backend {
		by = ""
	}
	var users []string
	for _, m := range u.Changes.Added {
		if m.UserID != by && !slices.Contains(u.Changes.RoleChanged, m.UserID) {
			users = append(users, m.UserID)
		}
	}
	name := ""
	if u.Changes.Name != nil {
		name = *u.Changes.Name
	}
	var out []proto.NotifyReq
	for part := range slices.Chunk(users, proto.MaxNotifyUsers) {
		out = append(out, invite(part, by, u.ChatID, name, e.Position))
	}
	return finish(out), nil
}

// backend stands in ChatUpdated.UpdatedBy for no user.
const backend = "backend"

// invite is keyed by the change: who leaves and is added again is told again.
func invite(users []string, by, chat, name string, position uint64) proto.NotifyReq {
	return proto.NotifyReq{
		UserIDs: users, Type: proto.NotifyInvite, Title: short(first(name, "New chat"), proto.MaxTitle), Message: "You have been added to a chat",
		FromUserID: by, ChatID: chat, Key: key("invite", chat, number(position)),
	}
}

// finish fills in what follows from the type.
func finish(all []proto.NotifyReq) []proto.NotifyReq {
	for i := range all {
		rule := ruleOf(all[i].Type)
		all[i].Priority, all[i].Silent = rule.Priority, !rule.Sound
		if all[i].CollapseKey == "" {
			all[i].CollapseKey = ChatCollapse(all[i].ChatID)
		}
	}
	return all
}

// ChatCollapse is the collapse key of what is pushed of a chat: the newest stands for
// all of it.
func ChatCollapse(chat string) string { return collapse("chat", chat) }

// NoticeCollapse is the collapse key of a notification's push: its own, or its chat's.
func NoticeCollapse(n *proto.Notification) string {
	switch {
	case n.CollapseKey != "":
		return n.CollapseKey
	case n.ChatID != "":
		return ChatCollapse(n.ChatID)
	}
	return collapse("notice", n.ID)
}

// CallCollapse is the collapse key of a call's ringing.
func CallCollapse(call string) string { return collapse("call", call) }

func collapse(parts ...string) string { return within(strings.Join(parts, ":"), maxCollapse) }

func key(parts ...string) string { return within(strings.Join(parts, ":"), maxKey) }

// within is s, or, where it is too long, a hash of it.
func within(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:n/4]) // half of what there is room for, and at least 64 bits
}

func short(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func first(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}
