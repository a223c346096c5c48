// Command reactions runs the reactions service.
package main

import (
	"supmesh.dev/reactions"
	"supmesh.dev/services"
)

func main() {
	var cfg reactions.Config
	services.Main("reactions", &cfg, func(h *services.Host) (services.Service, error) { return reactions.New(cfg, h) })
}
