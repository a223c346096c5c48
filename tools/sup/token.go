package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"supmesh.dev/services"
	"supmesh.dev/tools/sup/datadir"
	"supmesh.dev/tools/sup/mint"
)

// keys is where commands find what a mesh was given or made for itself.
type keys struct {
	DataDir string `name:"data-dir" env:"DATA_DIR" default:"./data" help:"Data folder of sup up." type:"path"`
}

// find is a setting that was given, or else the file of the data folder.
func (k keys) find(given services.Secret, variable string, file datadir.File) (string, error) {
	if given != "" {
		return given.Reveal(), nil
	}
	secret, err := datadir.Read(k.DataDir, file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not set and there is no %s in %s: start `sup up` first, or set one of them", variable, file, k.DataDir)
	}
	return secret, err
}

// user says whom a token is for.
type user struct {
	keys
	Secret services.Secret `name:"jwt-secret" env:"JWT_SECRET" help:"Key of the tokens; the data folder's by default."`
	User   string          `help:"User id." default:"alice"`
	Device string          `help:"Device id; each has its own queue of what it missed."`
	Name   string          `help:"Display name."`
	TTL    time.Duration   `name:"ttl" help:"How long the token is valid." default:"24h"`
}

func (u user) token() (string, error) {
	key, err := u.find(u.Secret, "JWT_SECRET", datadir.JWTSecret)
	if err != nil {
		return "", err
	}
	return mint.Token(key, u.User, u.Device, u.Name, u.TTL)
}

type tokenCmd struct{ user }

// Run prints the token alone, for $(sup token --user bob).
func (c *tokenCmd) Run() error {
	token, err := c.token()
	if err == nil {
		_, err = fmt.Fprintln(os.Stdout, token)
	}
	return err
}
