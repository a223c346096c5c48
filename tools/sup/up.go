package main

import (
	"context"
	"fmt"
	"os"

	"supmesh.dev/services"
	"supmesh.dev/tools/sup/up"
)

type upCmd struct {
	up.Config `embed:""`
}

// Run is the mesh until a signal.
func (c *upCmd) Run(ctx context.Context) error {
	defer services.TuneCollector()()
	return up.Run(ctx, c.Config, func(m up.Mesh) {
		if err := m.Banner(os.Stdout, os.Args[0]); err != nil {
			fmt.Fprintln(os.Stderr, "sup:", err)
		}
	})
}
