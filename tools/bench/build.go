package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// baselineFiles are the stock Socket.IO server; npm installs its pinned
// dependencies into the cache.
//
//go:embed baseline/package.json baseline/package-lock.json baseline/server.js
var baselineFiles embed.FS

// natsServer is built at the version that tools/go.mod pins.
const natsServer = "github.com/nats-io/nats-server/v2"

// builder makes the programs to measure and keeps them in a cache folder.
type builder struct{ root, cache string }

// newBuilder finds the repository above the working directory, and the cache.
func newBuilder(root, cache string) (builder, error) {
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			return builder{}, fmt.Errorf("find the repository: %w", err)
		}
		for root = dir; ; root = filepath.Dir(root) {
			if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				return builder{}, fmt.Errorf("find the repository: no go.work above %s (--root names it)", dir)
			}
		}
	}
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return builder{}, fmt.Errorf("find the cache: %w", err)
		}
		cache = filepath.Join(dir, "sup-bench")
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return builder{}, fmt.Errorf("make the cache: %w", err)
	}
	return builder{root, cache}, nil
}

// program builds a Go package as seen from a folder of the repository.
func (b builder) program(ctx context.Context, name, folder, pkg string) (string, error) {
	out := filepath.Join(b.cache, name)
	return out, command(ctx, filepath.Join(b.root, folder), "go", "build", "-o", out, pkg)
}

// installed finds a program of the machine.
func installed(name, pkg string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s not found: apt-get install %s", name, pkg)
	}
	return path, nil
}

// baseline installs the stock server and gives its folder.
func (b builder) baseline(ctx context.Context) (string, error) {
	dir := filepath.Join(b.cache, "baseline")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("install baseline: %w", err)
	}
	changed := false
	for _, name := range []string{"package.json", "package-lock.json", "server.js"} {
		want, err := baselineFiles.ReadFile("baseline/" + name)
		if err != nil {
			return "", fmt.Errorf("install baseline: %w", err)
		}
		have, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && string(have) == string(want) {
			continue
		}
		changed = changed || name != "server.js"
		if err := os.WriteFile(filepath.Join(dir, name), want, 0o600); err != nil {
			return "", fmt.Errorf("install baseline: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "socket.io")); err == nil && !changed {
		return dir, nil
	}
	return dir, command(ctx, dir, "npm", "ci", "--no-audit", "--no-fund")
}

func command(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s not found", argv[0])
	}
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, err, out)
	}
	return nil
}
