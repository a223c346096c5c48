package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// A chat's meta log: each entry is one client event and one version of the
// chat. Everything known of a chat but its messages follows from these entries.

// Fields of a chat as the roster keeps them.
const (
	fieldName        = "name"
	fieldAvatar      = "avatar"
	fieldDescription = "description"
	settingPrefix    = "set:" // one field a setting; JSON null: not set
)

// changeOf reads an entry of a meta log back into what it changed.
func changeOf(e eventlog.Entry) (roster.Change, error) {
	chat, kind, err := proto.ParseChatSubject(e.Subject)
	if err != nil || kind != proto.KindMeta {
		return roster.Change{}, fmt.Errorf("read change %d: subject %q", e.Position, e.Subject)
	}
	c := roster.Change{Chat: chat, Position: e.Position}
	switch e.Event {
	case proto.ChatUpdatedEvent.Name:
		var u proto.ChatUpdated
		if err = json.Unmarshal(e.Body, &u); err == nil {
			c.Version = u.Version
			c.Fields = fieldsOf(&u.Changes)
			c.Added, c.Removed, err = tokensOf(u.Changes.Added, u.Changes.Removed)
		}
	case proto.MemberJoinedEvent.Name:
		var j proto.MemberJoined
		if err = json.Unmarshal(e.Body, &j); err == nil {
			c.Version = j.Version
			c.Added, _, err = tokensOf([]proto.Member{{UserID: j.UserID, Role: j.Role}}, nil)
		}
	case proto.MemberLeftEvent.Name:
		var l proto.MemberLeft
		if err = json.Unmarshal(e.Body, &l); err == nil {
			c.Version = l.Version
			_, c.Removed, err = tokensOf(nil, []string{l.UserID})
		}
	default:
		err = fmt.Errorf("unknown event %q", e.Event)
	}
	if err == nil && c.Version == 0 {
		err = fmt.Errorf("no version")
	}
	if err != nil {
		return roster.Change{}, fmt.Errorf("read change %d of chat %s: %w", e.Position, chat, err)
	}
	return c, nil
}

func fieldsOf(c *proto.ChatChanges) map[string]string {
	out := map[string]string{}
	for field, v := range map[string]*string{fieldName: c.Name, fieldAvatar: c.Avatar, fieldDescription: c.Description} {
		if v != nil {
			out[field] = *v
		}
	}
	for name, v := range c.Settings {
		out[settingPrefix+name] = string(v)
	}
	return out
}

func tokensOf(added []proto.Member, removed []string) (a []roster.Added, r []proto.Token, err error) {
	for _, m := range added {
		token, err := proto.EncodeID(m.UserID)
		if err != nil {
			return nil, nil, err
		}
		role := m.Role
		if role == "" {
			role = proto.RoleMember
		}
		a = append(a, roster.Added{User: token, Role: role})
	}
	for _, id := range removed {
		token, err := proto.EncodeID(id)
		if err != nil {
			return nil, nil, err
		}
		r = append(r, token)
	}
	return a, r, nil
}

// amendment is what somebody wants changed of a chat.
type amendment struct {
	by      caller
	addedBy string
	create  bool // the chat may not exist yet
	users   []proto.Token
	set     proto.ChatChanges // of it: name, avatar, description, settings
	added   []proto.Member
	removed string
	reason  string
	single  bool // one member was named: the entry is chat:member-joined
}

// updateTypes are the values of ChatUpdated.UpdateType in the order in which
// the first that applies is taken.
func updateType(c *proto.ChatChanges) string {
	switch {
	case len(c.Added) > 0 || len(c.Removed) > 0:
		return "members"
	case c.Name != nil:
		return fieldName
	case c.Avatar != nil:
		return fieldAvatar
	case c.Description != nil:
		return fieldDescription
	}
	return "settings"
}

// entryOf is the log entry that makes of the chat what the amendment wants, or
// ok false where the chat is that already. changed counts members.
func entryOf(a *amendment, chatID string, cur *roster.Chat, now proto.Timestamp) (event string, payload any, changed int, ok bool) {
	version := cur.Version + 1
	if a.removed != "" {
		if len(cur.Members) == 0 { // the one asked for
			return "", nil, 0, false
		}
		return proto.MemberLeftEvent.Name, proto.MemberLeft{
			ChatID: chatID, UserID: a.removed, Timestamp: now, Kind: proto.KindMembership, Reason: a.reason, Version: version,
		}, 1, true
	}
	c := differing(&a.set, cur.Fields)
	c.Added = newMembers(a, cur)
	for i, m := range a.added {
		if _, was := cur.Members[a.users[i]]; was && slices.Contains(c.Added, m) {
			c.RoleChanged = append(c.RoleChanged, m.UserID)
		}
	}
	switch {
	case cur.Version > 0 && len(c.Added) == 0 && len(fieldsOf(&c)) == 0:
		return "", nil, 0, false
	case cur.Version > 0 && len(c.Added) == 1 && a.single:
		if _, was := cur.Members[a.users[0]]; !was {
			return proto.MemberJoinedEvent.Name, proto.MemberJoined{
				ChatID: chatID, UserID: c.Added[0].UserID, Timestamp: now, Kind: proto.KindMembership,
				Role: c.Added[0].Role, AddedBy: a.addedBy, Version: version,
			}, 1, true
		}
	}
	return proto.ChatUpdatedEvent.Name, proto.ChatUpdated{
		ChatID: chatID, UpdatedBy: a.updatedBy(), UpdateType: updateType(&c), Changes: c, Timestamp: now, Version: version,
	}, len(c.Added), true
}

// updatedBy is a required field of chat:updated; a backend may have no user.
func (a *amendment) updatedBy() string {
	switch {
	case a.addedBy != "":
		return a.addedBy
	case a.by.User != "":
		return a.by.User
	}
	return "backend"
}

// differing is what of set is not so already.
func differing(set *proto.ChatChanges, have map[string]string) (out proto.ChatChanges) {
	text := func(field string, v *string) *string {
		if v == nil || *v == have[field] {
			return nil
		}
		return v
	}
	out.Name, out.Avatar, out.Description = text(fieldName, set.Name), text(fieldAvatar, set.Avatar), text(fieldDescription, set.Description)
	for name, v := range set.Settings {
		old := have[settingPrefix+name]
		if old == "" {
			old = "null"
		}
		if string(v) != old {
			if out.Settings == nil {
				out.Settings = map[string]proto.Raw{}
			}
			out.Settings[name] = v
		}
	}
	return out
}

// newMembers are those of the amendment who are not members, or whose role is
// given and another. The last of several lines about one user counts.
func newMembers(a *amendment, cur *roster.Chat) []proto.Member {
	var out []proto.Member
	for i, m := range a.added {
		have, is := cur.Members[a.users[i]]
		if slices.ContainsFunc(a.added[i+1:], func(later proto.Member) bool { return later.UserID == m.UserID }) {
			continue
		}
		switch {
		case !is && m.Role == "":
			m.Role = proto.RoleMember
		case is && (m.Role == "" || m.Role == have.Role):
			continue
		}
		out = append(out, m)
	}
	return out
}

// chatRes is the chat as backends see it.
func chatRes(chatID string, c *roster.Chat) proto.ChatRes {
	res := proto.ChatRes{
		ChatID: chatID, Name: c.Fields[fieldName], Avatar: c.Fields[fieldAvatar], Description: c.Fields[fieldDescription],
		Version: c.Version, MemberCount: c.Count,
	}
	for field, v := range c.Fields {
		if name, ok := strings.CutPrefix(field, settingPrefix); ok && v != "null" {
			if res.Settings == nil {
				res.Settings = map[string]proto.Raw{}
			}
			res.Settings[name] = proto.Raw(v)
		}
	}
	return res
}
