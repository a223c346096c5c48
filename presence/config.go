package presence

import (
	"fmt"
	"slices"

	"supmesh.dev/services"
)

// Config is what the presence service is told.
type Config struct {
	services.Config `embed:""`

	// Visibility says who may see how a user is there.
	Visibility string `name:"presence-visibility" env:"PRESENCE_VISIBILITY" default:"shared" help:"Who may see a user's presence: shared (who shares a chat, and contacts), contacts, or all; never who is blocked."`
}

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	if !slices.Contains([]string{VisibleShared, VisibleContacts, VisibleAll}, c.Visibility) {
		return fmt.Errorf("PRESENCE_VISIBILITY must be shared, contacts or all, not %q", c.Visibility)
	}
	return nil
}
