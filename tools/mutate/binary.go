package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

// leastTime is how long a mutant may take: one that never ends is noticed.
const leastTime = 5 * time.Second

// binary is a package's test binary with all mutants in it.
type binary struct {
	p    *pkg
	file string
}

// build compiles the mutated package into a folder. The overlay leaves the
// package's own folder as it is.
func build(p *pkg, folder string) (*binary, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	files := p.mutated()
	files[filepath.Join(p.dir, "mutant_on.go")] = fmt.Appendf(nil, helpers, p.name)
	for name, src := range files {
		to := filepath.Join(folder, filepath.Base(name))
		if err := os.WriteFile(to, src, 0o600); err != nil {
			return nil, err
		}
		overlay.Replace[name] = to
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return nil, err
	}
	listFile := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(listFile, list, 0o600); err != nil {
		return nil, err
	}
	b := &binary{p: p, file: filepath.Join(folder, "mutants.test")}
	cmd := exec.CommandContext(context.Background(), "go", "test", "-c", "-vet=off", "-overlay", listFile, "-o", b.file, p.path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return b, nil
}

// test runs the tests once for each mutant and gives those that no test notices.
func (b *binary) test() ([]mutant, error) {
	began := time.Now()
	if out, err := b.run(0, time.Minute); err != nil {
		return nil, fmt.Errorf("without a mutant: %w\n%s", err, out)
	}
	limit := max(leastTime, 10*time.Since(began))

	var mu sync.Mutex
	var missed []int
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for id := range next {
				if _, err := b.run(id, limit); err == nil {
					mu.Lock()
					missed = append(missed, id)
					mu.Unlock()
				}
			}
		})
	}
	for i := range b.p.mutants {
		next <- i + 1
	}
	close(next)
	wg.Wait()
	slices.Sort(missed)
	out := make([]mutant, 0, len(missed))
	for _, id := range missed {
		out = append(out, b.p.mutants[id-1])
	}
	return out, nil
}

func (b *binary) run(id int, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.file, "-test.failfast", "-test.short", "-test.timeout", limit.String())
	cmd.Dir = b.p.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return out.Bytes(), fmt.Errorf("start: %w", err)
	}
	return out.Bytes(), err
}
