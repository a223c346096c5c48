package compat

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// notes are keywords that bind nobody.
var notes = map[string]bool{
	"description": true, "title": true, "examples": true, "$comment": true, "$schema": true, "$id": true, "$defs": true,
	"properties": true, "items": true, "additionalProperties": true, "required": true, "$ref": true, "default": true,
}

// walker compares two documents; refs are looked up each in its own.
type walker struct {
	direction Direction
	was, now  map[string]any // $defs
	seen      map[string]bool
	out       []string
}

// Schemas names the incompatible changes from one schema document to another.
func Schemas(name string, direction Direction, was, now map[string]any) []string {
	w := &walker{direction: direction, was: object(was, "$defs"), now: object(now, "$defs"), seen: map[string]bool{}}
	w.compare(name, was, now)
	return w.out
}

func (w *walker) refusef(at, format string, args ...any) {
	w.out = append(w.out, at+": "+fmt.Sprintf(format, args...))
}

func (w *walker) compare(at string, was, now map[string]any) {
	key := fmt.Sprint(was["$ref"], "→", now["$ref"])
	fixed := was["x-fixed"] == true
	if fixed && now["x-fixed"] != true {
		w.refusef(at, "‡ mark removed")
	}
	shared := was["$ref"] != nil
	was, now = resolve(w.was, was), resolve(w.now, now)
	if !reflect.DeepEqual(was["type"], now["type"]) {
		w.refusef(at, "type %v changed to %v", was["type"], now["type"])
		return
	}
	for _, k := range []string{"const", "format"} {
		if !reflect.DeepEqual(was[k], now[k]) {
			w.refusef(at, "%s %v changed to %v", k, was[k], now[k])
		}
	}
	w.enums(at, was, now)
	if w.direction == Request {
		w.narrowed(at, was, now)
	}
	if fixed {
		w.same(at, was, now, shared)
	}
	if shared && w.seen[key] {
		return
	}
	w.seen[key] = shared
	w.properties(at, was, now)
	for _, k := range []string{"items", "additionalProperties"} {
		o, n := object(was, k), object(now, k)
		switch {
		case o != nil && n != nil:
			w.compare(at+"[]", o, n)
		case (o == nil) != (n == nil):
			w.refusef(at, "%s changed", k)
		}
	}
}

// same refuses any change of a ‡ field's own keywords. What stands in it has
// marks of its own, and a list shared by reference, such as Code, may grow.
func (w *walker) same(at string, was, now map[string]any, shared bool) {
	for _, k := range slices.Sorted(maps.Keys(union(was, now))) {
		if !notes[k] && k != "x-fixed" && (k != "enum" || !shared) && !reflect.DeepEqual(was[k], now[k]) {
			w.refusef(at, "‡ field: %s %v changed to %v", k, was[k], now[k])
		}
	}
}

func (w *walker) enums(at string, was, now map[string]any) {
	o, _ := was["enum"].([]any)
	n, _ := now["enum"].([]any)
	if n == nil && o != nil && w.direction == Response {
		w.refusef(at, "enum removed")
	}
	if n == nil {
		return
	}
	if o == nil && w.direction == Request {
		w.refusef(at, "enum added")
	}
	for _, v := range o {
		if !slices.Contains(n, v) {
			w.refusef(at, "enum value %v removed", v)
		}
	}
}

// narrowed refuses a bound that a request of before could break.
func (w *walker) narrowed(at string, was, now map[string]any) {
	for k, sign := range map[string]float64{
		"maximum": 1, "maxLength": 1, "maxItems": 1, "maxProperties": 1, "x-max-bytes": 1,
		"minimum": -1, "minLength": -1, "minItems": -1, "minProperties": -1,
	} {
		n, bounded := now[k].(float64)
		o, before := was[k].(float64)
		if bounded && (!before || n*sign < o*sign) {
			w.refusef(at, "%s is narrower: %v, was %v", k, now[k], was[k])
		}
	}
	if now["pattern"] != nil && !reflect.DeepEqual(was["pattern"], now["pattern"]) {
		w.refusef(at, "pattern changed")
	}
}

func (w *walker) properties(at string, was, now map[string]any) {
	o, n := object(was, "properties"), object(now, "properties")
	oldRequired, newRequired := required(was), required(now)
	for _, name := range slices.Sorted(maps.Keys(o)) {
		field := at + "." + name
		if n[name] == nil {
			w.refusef(field, "field removed")
			continue
		}
		before, _ := o[name].(map[string]any)
		after, _ := n[name].(map[string]any)
		switch {
		case oldRequired[name] == newRequired[name]:
		case before["x-fixed"] == true:
			w.refusef(field, "‡ field: required changed")
		case w.direction == Request && newRequired[name]:
			w.refusef(field, "optional field became required")
		case w.direction == Response && !newRequired[name]:
			w.refusef(field, "field that was always there became optional")
		}
		w.compare(field, before, after)
	}
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if o[name] == nil && newRequired[name] && w.direction == Request {
			w.refusef(at+"."+name, "new field is required")
		}
	}
}

// resolve is the schema itself, or what its reference names.
func resolve(defs, s map[string]any) map[string]any {
	ref, ok := s["$ref"].(string)
	if !ok {
		return s
	}
	target, _ := defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	return target
}

func object(s map[string]any, key string) map[string]any {
	v, _ := s[key].(map[string]any)
	return v
}

func required(s map[string]any) map[string]bool {
	out := map[string]bool{}
	list, _ := s["required"].([]any)
	for _, v := range list {
		if name, ok := v.(string); ok {
			out[name] = true
		}
	}
	return out
}

func union(a, b map[string]any) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}
