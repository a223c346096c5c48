// Command presence runs the presence service.
package main

import (
	"supmesh.dev/presence"
	"supmesh.dev/services"
)

func main() {
	var cfg presence.Config
	services.Main("presence", &cfg, func(h *services.Host) (services.Service, error) { return presence.New(cfg, h) })
}
