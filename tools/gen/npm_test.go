package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nodeDir is where the pinned npm packages of all test suites stand.
const nodeDir = "../e2e/node"

// TestReadersAccept: the reference parsers of each format read the generated
// documents, and examples and golden files fit their schemas.
func TestReadersAccept(t *testing.T) {
	t.Parallel()
	_, err := os.Stat(filepath.Join(nodeDir, "node_modules", "typescript"))
	require.NoError(t, err, "the npm packages are not installed: make deps")
	for name, args := range map[string][]string{
		"AsyncAPI":    {"asyncapi.check.mjs", "../../../proto/schema/asyncapi.json"},
		"OpenAPI":     {"openapi.check.mjs", "../../../proto/schema/openapi.json"},
		"JSON Schema": {"schema.check.mjs", "../../../proto"},
		"TypeScript":  {"node_modules/typescript/bin/tsc", "-p", "tsconfig.json"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", args...)
			cmd.Dir = nodeDir
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
}
