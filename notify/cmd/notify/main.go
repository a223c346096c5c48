// Command notify runs the notify service.
package main

import (
	"supmesh.dev/notify"
	"supmesh.dev/services"
)

func main() {
	var cfg notify.Config
	services.Main("notify", &cfg, func(h *services.Host) (services.Service, error) { return notify.New(cfg, h) })
}
