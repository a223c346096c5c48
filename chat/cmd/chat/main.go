// Command chat runs the chat service.
package main

import (
	"supmesh.dev/chat"
	"supmesh.dev/services"
)

func main() {
	var cfg chat.Config
	services.Main("chat", &cfg, func(h *services.Host) (services.Service, error) { return chat.New(cfg, h) })
}
