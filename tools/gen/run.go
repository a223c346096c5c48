package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"supmesh.dev/tools/gen/asyncapi"
	"supmesh.dev/tools/gen/compat"
	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/openapi"
	"supmesh.dev/tools/gen/reference"
	"supmesh.dev/tools/gen/schemas"
	"supmesh.dev/tools/gen/settings"
	"supmesh.dev/tools/gen/typescript"
)

// releasedDir, under proto/schema, is the contract as last released.
const releasedDir = "released"

// settingsPage is the page of settings; the pages beside it are written by hand.
const settingsPage = "docs/configuration.md"

func run(root string, check, release bool) error {
	dir := filepath.Join(root, "proto", "schema")
	files, err := generate(filepath.Join(root, "proto"))
	if err != nil {
		return err
	}
	page, err := settings.File()
	if err != nil {
		return fmt.Errorf("write %s: %w", settingsPage, err)
	}
	switch {
	case check:
		return errors.Join(drift(dir, files), pageDrift(root, page), compatible(dir))
	case release:
		return makeRelease(dir, files)
	default:
		return errors.Join(write(dir, files), writeFile(filepath.Join(root, settingsPage), page))
	}
}

// generate is every file under proto/schema but the released ones, by path.
func generate(protoDir string) (map[string][]byte, error) {
	m, err := contract.Load(protoDir)
	if err != nil {
		return nil, fmt.Errorf("load the contract: %w", err)
	}
	files, err := schemas.Files(m)
	if err != nil {
		return nil, err
	}
	for path, writer := range map[string]func(*contract.Model) ([]byte, error){
		"asyncapi.json": asyncapi.File, "openapi.json": openapi.File, "client.d.ts": typescript.File, "API.md": reference.File,
	} {
		if files[path], err = writer(m); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return files, nil
}

// existing is the generated files that are there, so that a stale one is seen.
// The folder's Go files hand the others out and are written by hand.
func existing(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == releasedDir:
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(path) != ".go":
			rel, err := filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

func write(dir string, files map[string][]byte) error {
	have, err := existing(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, path := range have {
		if files[path] == nil {
			if err := os.Remove(filepath.Join(dir, path)); err != nil {
				return fmt.Errorf("remove a stale file: %w", err)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(filepath.Join(dir, path), files[path]); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // committed files, for everyone to read
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// drift names the committed files that are not what gen would write.
func drift(dir string, files map[string][]byte) error {
	have, err := existing(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	var bad []string
	for _, path := range have {
		if files[path] == nil {
			bad = append(bad, path+" is stale")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || !bytes.Equal(got, files[path]) {
			bad = append(bad, path+" differs")
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("proto/schema has drifted from proto, run make gen:\n  %s", strings.Join(bad, "\n  "))
	}
	return nil
}

// pageDrift says whether the committed page of settings is what gen would write.
func pageDrift(root string, page []byte) error {
	got, err := os.ReadFile(filepath.Join(root, settingsPage))
	if err != nil || !bytes.Equal(got, page) {
		return fmt.Errorf("%s has drifted from the configuration structs, run make gen", settingsPage)
	}
	return nil
}

func compatible(dir string) error {
	changes, err := compat.Check(os.DirFS(filepath.Join(dir, releasedDir)), os.DirFS(dir))
	if err != nil {
		return fmt.Errorf("compare with the released contract: %w", err)
	}
	if len(changes) > 0 {
		return fmt.Errorf("incompatible with the released contract:\n  %s", strings.Join(changes, "\n  "))
	}
	return nil
}

// makeRelease copies what the check compares; a change it refuses cannot be
// released either.
func makeRelease(dir string, files map[string][]byte) error {
	if err := drift(dir, files); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, releasedDir)); err == nil {
		if err := compatible(dir); err != nil {
			return err
		}
	}
	for path, content := range files {
		if strings.HasPrefix(path, "json/") || path == "catalogue.json" || path == "codes.json" {
			if err := writeFile(filepath.Join(dir, releasedDir, path), content); err != nil {
				return err
			}
		}
	}
	return nil
}
