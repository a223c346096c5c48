package presence

import (
	"fmt"
	"time"

	"supmesh.dev/services"
)

// Config is what the presence service is told.
type Config struct {
	services.Config `embed:""`

	// Grace is for how long a connection that has ended, or whose gateway is dead, still counts.
	Grace time.Duration `name:"presence-grace" env:"PRESENCE_GRACE" default:"10s" help:"How long a connection may be away before its user is shown offline."`
	// Visibility says who may see whom.
	Visibility string `name:"presence-visibility" env:"PRESENCE_VISIBILITY" default:"shared" help:"Who sees a user's presence: shared (who shares a chat with them, and their contacts), contacts, or all; never who has blocked, or is blocked by, them."`
	// Rate bounds the users whom one instance shows offline, or changes otherwise by time, in a second.
	Rate int `name:"presence-rate" env:"PRESENCE_RATE" default:"2000" help:"Users whose status one instance changes by time (grace over, gateway dead) in a second, at most."`
}

// Who may see whom, besides blocks.
const (
	VisibleShared   = "shared"
	VisibleContacts = "contacts"
	VisibleAll      = "all"
)

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Grace < 0 || c.Grace > 10*time.Minute:
		return fmt.Errorf("PRESENCE_GRACE must be from 0s to 10m")
	case c.Visibility != VisibleShared && c.Visibility != VisibleContacts && c.Visibility != VisibleAll:
		return fmt.Errorf("PRESENCE_VISIBILITY must be shared, contacts or all, not %q", c.Visibility)
	case c.Rate < 1:
		return fmt.Errorf("PRESENCE_RATE must be at least 1")
	}
	return nil
}
