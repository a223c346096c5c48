package openapi

import (
	"fmt"
	"slices"
	"strings"

	"supmesh.dev/tools/gen/contract"
)

// form is how a request's fields travel: in the path, in the query (of a method
// whose body means nothing) or in the body.
type form struct {
	parameters []any
	body       object // nil: no body
	required   bool
	examples   object
}

func split(types object, r contract.Request) (form, error) {
	method, path, _ := strings.Cut(r.HTTP, " ")
	inQuery := method == "GET" || method == "DELETE"
	whole, ok := types[r.Req].(object)
	if !ok {
		return form{}, fmt.Errorf("type %s has no schema", r.Req)
	}
	v, err := copyOf(whole)
	if err != nil {
		return form{}, err
	}
	body := v.(object)
	properties, _ := body["properties"].(object)
	required, _ := body["required"].([]any)
	f := form{parameters: []any{}}
	add := func(name, in string) {
		schema := properties[name].(object)
		p := object{"name": name, "in": in, "required": in == "path" || slices.Contains(required, any(name))}
		if text, ok := schema["description"]; ok {
			p["description"] = text
			delete(schema, "description")
		}
		delete(properties, name)
		required = slices.DeleteFunc(required, func(v any) bool { return v == name })
		p["schema"] = schema
		f.parameters = append(f.parameters, p)
	}
	var moved []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			if properties[name] == nil {
				return form{}, fmt.Errorf("%s has no field %s", r.Req, name)
			}
			add(name, "path")
			moved = append(moved, name)
		}
	}
	if inQuery {
		for _, name := range sortedKeys(properties) {
			add(name, "query")
		}
		return f, nil
	}
	body["required"] = required
	if len(required) == 0 {
		delete(body, "required")
	}
	f.body, f.required, f.examples = body, len(required) > 0, object{}
	for name, example := range map[string]any{"one": r.Example, "other": r.ExampleOr} {
		if example == nil {
			continue
		}
		v, err := copyOf(example)
		if err != nil {
			return form{}, err
		}
		for _, name := range moved {
			delete(v.(object), name)
		}
		f.examples[name] = object{"value": v}
	}
	return f, nil
}

func sortedKeys(o object) []string {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
