package gateway

import (
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// change is what an entry of a chat's meta log does to its membership.
type change struct {
	added, removed []proto.Token
	chat           string
	version        uint64
}

// membershipOf reads a meta entry. Entries are client-ready events; those that
// do not change the members give the zero change.
func membershipOf(e *entry) (change, error) {
	var c change
	switch e.event {
	case proto.ChatUpdatedEvent.Name:
		var u proto.ChatUpdated
		if err := wire.Unmarshal(e.body, &u); err != nil {
			return c, err
		}
		c.chat, c.version = u.ChatID, u.Version
		for _, m := range u.Changes.Added {
			c.added = appendUser(c.added, m.UserID)
		}
		for _, user := range u.Changes.Removed {
			c.removed = appendUser(c.removed, user)
		}
	case proto.MemberJoinedEvent.Name:
		var j proto.MemberJoined
		if err := wire.Unmarshal(e.body, &j); err != nil {
			return c, err
		}
		c.chat, c.version = j.ChatID, j.Version
		if j.Kind == proto.KindMembership {
			c.added = appendUser(c.added, j.UserID)
		}
	case proto.MemberLeftEvent.Name:
		var l proto.MemberLeft
		if err := wire.Unmarshal(e.body, &l); err != nil {
			return c, err
		}
		c.chat, c.version = l.ChatID, l.Version
		if l.Kind == proto.KindMembership {
			c.removed = appendUser(c.removed, l.UserID)
		}
	}
	return c, nil
}

func appendUser(users []proto.Token, id string) []proto.Token {
	token, err := proto.EncodeID(id)
	if err != nil { // no connection can have such a user
		return users
	}
	return append(users, token)
}
