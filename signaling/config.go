package signaling

import (
	"fmt"
	"time"

	"supmesh.dev/services"
	"supmesh.dev/signaling/turn"
)

// Config is what the signaling service is told.
type Config struct {
	services.Config `embed:""`

	// ICEURLs are the STUN and TURN servers that clients are given.
	ICEURLs []string `name:"ice-urls" env:"ICE_URLS" help:"STUN and TURN servers for clients, as stun:, turn: and turns: URLs, separated by commas."`
	// TURNSecret is what the TURN servers make credentials from, too.
	TURNSecret services.Secret `name:"turn-secret" env:"TURN_SECRET" help:"Secret that the TURN servers share (static-auth-secret); needed where ICE_URLS has one."`
	TURNTTL    time.Duration   `name:"turn-ttl" env:"TURN_TTL" default:"12h" help:"How long a TURN credential is good for."`
	// Policy says who may call whom, blocks apart.
	Policy string `name:"call-policy" env:"CALL_POLICY" default:"anyone" help:"Who may call a user: anyone, or related (who shares a chat with them, and their contacts); never who has blocked, or is blocked by, them."`
}

// Who may call whom, besides blocks.
const (
	CallAnyone  = "anyone"
	CallRelated = "related"
)

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	if c.Policy != CallAnyone && c.Policy != CallRelated {
		return fmt.Errorf("CALL_POLICY must be anyone or related, not %q", c.Policy)
	}
	_, err := turn.New(c.turn())
	return err
}

func (c *Config) turn() turn.Config {
	return turn.Config{URLs: c.ICEURLs, Secret: []byte(c.TURNSecret.Reveal()), TTL: c.TURNTTL}
}
