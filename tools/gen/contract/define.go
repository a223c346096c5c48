package contract

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"supmesh.dev/proto"
)

// definer collects the JSON Schema of types, each once.
type definer struct {
	reflector *jsonschema.Reflector
	comments  map[string]comment
	defs      jsonschema.Definitions
	done      map[reflect.Type]bool // rules applied
}

func newDefiner(comments map[string]comment) *definer {
	d := &definer{comments: comments, done: map[reflect.Type]bool{}, defs: jsonschema.Definitions{
		"Code": enum(codes(), "The closed list of error codes."),
		"Role": enum(proto.Roles, "A member's role in a chat."),
	}}
	d.reflector = &jsonschema.Reflector{
		// Unknown fields are ignored by either side (CONTRACT §3).
		AllowAdditionalProperties: true,
		Anonymous:                 true,
		Mapper:                    mapped,
		LookupComment: func(t reflect.Type, field string) string {
			if field != "" {
				field = "." + field
			}
			return comments[t.Name()+field].text
		},
	}
	return d
}

// mapped is the schema of the types whose JSON is not what their Go kind says.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[proto.Timestamp]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[proto.Raw]():
		return &jsonschema.Schema{Extras: map[string]any{"x-raw": true}}
	case reflect.TypeFor[proto.Code]():
		return &jsonschema.Schema{Ref: refPrefix + "Code"}
	case reflect.TypeFor[proto.Role]():
		return &jsonschema.Schema{Ref: refPrefix + "Role"}
	}
	return nil
}

// add defines t and what it holds.
func (d *definer) add(t reflect.Type) error {
	for name, s := range d.reflector.ReflectFromType(t).Definitions {
		if _, have := d.defs[name]; !have {
			d.defs[name] = s
		}
	}
	return d.finish(t)
}

// addAck defines the response t as the ack that carries it.
func (d *definer) addAck(t reflect.Type, name string) error {
	if _, have := d.defs[name]; have {
		return nil
	}
	if err := d.add(t); err != nil {
		return err
	}
	s := d.defs[t.Name()]
	delete(d.defs, t.Name())
	props := jsonschema.NewProperties()
	props.Set("success", &jsonschema.Schema{Type: "boolean", Const: true, Extras: fixed()})
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		props.Set(p.Key, p.Value)
	}
	props.Set("requestId", &jsonschema.Schema{Type: "string", Description: "names the request in logs and traces"})
	s.Properties = props
	s.Required = append(append([]string{"success"}, s.Required...), "requestId")
	s.Description = strings.ReplaceAll(s.Description, t.Name(), name)
	d.defs[name] = s
	return nil
}

// finish puts the rules, the ‡ marks and the bounds of Go's kinds on the
// definitions of t and the structs in it.
func (d *definer) finish(t reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || mapped(t) != nil || d.done[t] {
		return nil
	}
	d.done[t] = true
	def := d.defs[t.Name()]
	if def == nil {
		return fmt.Errorf("type %s has no definition", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if err := d.finish(f.Type); err != nil {
			return err
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		prop, ok := def.Properties.Get(name)
		if !ok {
			return fmt.Errorf("%s.%s is not in its schema", t.Name(), f.Name)
		}
		if k := f.Type.Kind(); k >= reflect.Uint && k <= reflect.Uint64 {
			prop.Minimum = "0"
		}
		if err := applyRule(prop, f.Tag.Get("rule")); err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		if d.comments[t.Name()+"."+f.Name].fixed {
			extra(prop, "x-fixed", true)
		}
	}
	return nil
}

// dangling refuses a reference to a type that no row brought in.
func (d *definer) dangling() error {
	for name, def := range d.defs {
		if def.Properties == nil {
			continue
		}
		for p := def.Properties.Oldest(); p != nil; p = p.Next() {
			for _, s := range []*jsonschema.Schema{p.Value, p.Value.Items, p.Value.AdditionalProperties} {
				if s != nil && s.Ref != "" && d.defs[RefName(s)] == nil {
					return fmt.Errorf("%s.%s refers to %s, which no row has", name, p.Key, RefName(s))
				}
			}
		}
	}
	return nil
}

func fixed() map[string]any { return map[string]any{"x-fixed": true} }

func extra(s *jsonschema.Schema, key string, v any) {
	if s.Extras == nil {
		s.Extras = map[string]any{}
	}
	s.Extras[key] = v
}

func constant(s *jsonschema.Schema, field string, v any) {
	if p, ok := s.Properties.Get(field); ok {
		p.Const = v
	}
}

func enum(values []string, description string) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Description: description}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

func codes() []string {
	var out []string
	for _, row := range proto.Codes {
		out = append(out, string(row.Code))
	}
	return out
}
