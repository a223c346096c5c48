// Command gateway runs one edge of the mesh.
package main

import (
	"supmesh.dev/gateway"
	"supmesh.dev/services"
)

func main() {
	var cfg gateway.Config
	services.Main("gateway", &cfg, func(h *services.Host) (services.Service, error) { return gateway.New(cfg, h) })
}
