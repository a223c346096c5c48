package asyncapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"supmesh.dev/tools/gen/contract"
)

// convert rewrites the schemas for AsyncAPI, whose default dialect is draft
// 07: what stands beside a $ref is ignored there, so the reference goes into
// an allOf.
func convert(m *contract.Model) (object, error) {
	b, err := json.Marshal(m.Types)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	var types object
	if err := json.Unmarshal(b, &types); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	for _, t := range types {
		rewrite(t)
	}
	return types, nil
}

func rewrite(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			rewrite(item)
		}
	case object:
		for _, child := range v {
			rewrite(child)
		}
		if target, ok := v["$ref"].(string); ok {
			target = "#/components/schemas/" + strings.TrimPrefix(target, "#/$defs/")
			v["$ref"] = target
			if len(v) > 1 {
				delete(v, "$ref")
				v["allOf"] = []any{object{"$ref": target}}
			}
		}
	}
}
