package main

import (
	"context"
	"os"

	"supmesh.dev/services"
	"supmesh.dev/tools/sup/client"
)

type clientCmd struct {
	user
	URL   string          `name:"url" help:"Address of the gateway's plain websocket." default:"ws://127.0.0.1:3001/ws"`
	Token services.Secret `help:"Access token; by default one is made for --user." env:"SUP_TOKEN"`
	Chat  string          `help:"Chat to open." default:"lobby"`
}

// Run chats until the end of input.
func (c *clientCmd) Run(ctx context.Context) error {
	token := c.Token.Reveal()
	if token == "" {
		made, err := c.token()
		if err != nil {
			return err
		}
		token = made
	}
	return client.Run(ctx, client.Options{URL: c.URL, Token: token, Chat: c.Chat}, os.Stdin, os.Stdout)
}
