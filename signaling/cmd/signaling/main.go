// Command signaling runs the signaling service.
package main

import (
	"supmesh.dev/services"
	"supmesh.dev/signaling"
)

func main() {
	var cfg signaling.Config
	services.Main("signaling", &cfg, func(h *services.Host) (services.Service, error) { return signaling.New(cfg, h) })
}
