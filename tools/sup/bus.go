package main

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/tools/sup/datadir"
)

// bus is the NATS side of a mesh.
type bus struct {
	keys
	NATS string `name:"nats-url" env:"NATS_URL" help:"NATS server to ask; the data folder's by default."`
}

// connect is a connection to the mesh's NATS; the caller closes it.
func (b bus) connect() (*nats.Conn, error) {
	url := b.NATS
	if url == "" {
		var err error
		if url, err = datadir.Read(b.DataDir, datadir.NATSURL); err != nil {
			return nil, fmt.Errorf("NATS_URL is not set, and %w", err)
		}
	}
	conn, err := nats.Connect(url, nats.Timeout(2*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS (is the mesh running?): %w", err)
	}
	return conn, nil
}
