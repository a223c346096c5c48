package compat

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"supmesh.dev/tools/gen/schemas"
)

// Direction is who writes the payload.
type Direction int

const (
	Request  Direction = iota // written by clients: may ask for less, never more
	Response                  // written by the mesh: may give more, never less
)

// Check compares a released folder of schemas with the current one. The
// changes are the incompatible ones, none if all is well; err says that one of
// the two could not be read.
func Check(released, current fs.FS) (changes []string, err error) {
	var oldCat, newCat schemas.Catalogue
	var oldCodes, newCodes schemas.Codes
	for _, f := range []struct {
		dir  fs.FS
		path string
		into any
	}{
		{released, "catalogue.json", &oldCat}, {current, "catalogue.json", &newCat},
		{released, "codes.json", &oldCodes}, {current, "codes.json", &newCodes},
	} {
		if err := read(f.dir, f.path, f.into); err != nil {
			return nil, err
		}
	}
	changes = append(rows(oldCat, newCat), codes(oldCodes, newCodes)...)
	directions := map[string]Direction{"Failure": Response}
	for _, r := range oldCat.Requests {
		directions[r.Request], directions[r.Ack] = Request, Response
	}
	for _, e := range oldCat.Events {
		directions[e.Payload] = Response
	}
	names, err := fs.Glob(released, "json/*.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("list the released schemas: none (%w)", err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "json/"), ".json")
		direction, known := directions[name]
		if !known {
			return nil, fmt.Errorf("released schema %s is of no released row", path)
		}
		var was, now map[string]any
		if err := read(released, path, &was); err != nil {
			return nil, err
		}
		if err := read(current, path, &now); err != nil {
			changes = append(changes, name+": payload removed")
			continue
		}
		changes = append(changes, Schemas(name, direction, was, now)...)
	}
	slices.Sort(changes)
	return slices.Compact(changes), nil
}

func read(dir fs.FS, path string, into any) error {
	b, err := fs.ReadFile(dir, path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	return nil
}
