package chat

import (
	"fmt"
	"time"

	"supmesh.dev/services"
)

// Config is what the chat service is told.
type Config struct {
	services.Config `embed:""`

	// ChatPolicy says who may use a chat: members, or (dev run) anybody, whom
	// the first use makes a member of a chat that it creates.
	ChatPolicy string `name:"chat-policy" env:"CHAT_POLICY" default:"members" help:"members, or open: unknown chats are created on first use and joining makes a member."`
	// CachedChats bounds the chats whose heads are kept in memory, about 1 KB each.
	CachedChats int `name:"cached-chats" env:"CHAT_CACHED_CHATS" default:"50000" help:"Chats whose heads are kept in memory."`
	// SendWorkers is how many sends run at once.
	SendWorkers int `name:"send-workers" env:"CHAT_SEND_WORKERS" default:"512" help:"Sends that run at once."`
	// EditWindow and DeleteWindow begin when a message is sent; 0 means never.
	EditWindow   time.Duration `name:"edit-window" env:"EDIT_WINDOW" default:"24h" help:"How long its sender may edit a message; 0 for never."`
	DeleteWindow time.Duration `name:"delete-window" env:"DELETE_WINDOW" default:"48h" help:"How long its sender may delete a message for everyone; 0 for never. Admins and owners always may."`
}

// Policies of CHAT_POLICY.
const (
	PolicyMembers = "members"
	PolicyOpen    = "open"
)

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.ChatPolicy != PolicyMembers && c.ChatPolicy != PolicyOpen:
		return fmt.Errorf("CHAT_POLICY must be members or open, not %q", c.ChatPolicy)
	case c.ChatPolicy == PolicyOpen && c.Production:
		return fmt.Errorf("CHAT_POLICY=open makes anybody a member of any chat: not with PRODUCTION")
	case c.CachedChats < 1:
		return fmt.Errorf("CHAT_CACHED_CHATS must be at least 1")
	case c.SendWorkers < 1:
		return fmt.Errorf("CHAT_SEND_WORKERS must be at least 1")
	case c.EditWindow < 0:
		return fmt.Errorf("EDIT_WINDOW must not be negative")
	case c.DeleteWindow < 0:
		return fmt.Errorf("DELETE_WINDOW must not be negative")
	}
	return nil
}
