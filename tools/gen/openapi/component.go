package openapi

import (
	"fmt"
	"maps"
	"strings"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
)

// itself is the one route without a token.
var itself = object{"get": object{
	"operationId": "openapi", "summary": "This document.", "security": []any{},
	"responses": object{"200": object{
		"description": "The document.", "content": object{"application/json": object{"schema": object{"type": "object"}}},
	}},
}}

// components is what operations refer to, and of the schemas only those they reach.
func components(types, paths object) object {
	used := object{}
	collect(types, paths, used)
	collect(types, ref(contract.FailureType), used)
	return object{
		"schemas": used,
		"securitySchemes": object{"bearer": object{
			"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN of the gateways.",
		}},
		"parameters": object{"IdempotencyKey": object{
			"name": proto.IdempotencyKey, "in": "header", "required": false,
			"schema": object{"type": "string", "pattern": fmt.Sprintf("^[!-~]{1,%d}$", proto.MaxIdempotencyKey)},
			"description": "Makes the request safe to repeat for 24 h: a repeat gets the very same answer. The same key with " +
				"another body or path is CONFLICT. (draft-ietf-httpapi-idempotency-key-header)",
			"example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
		}},
		"headers": object{
			"IdempotencyReplayed": object{
				"description": "true where this is the kept answer to an earlier request with the key.",
				"schema":      object{"type": "string", "const": "true"},
			},
			"RetryAfter":      object{"description": "Seconds until a repeat makes sense, where that is known.", "schema": object{"type": "integer", "minimum": 1}},
			"WWWAuthenticate": object{"description": "The scheme wanted.", "schema": object{"type": "string"}},
		},
	}
}

// convert is the contract's schemas as components. OpenAPI 3.1 speaks JSON
// Schema 2020-12, so that only the references change.
func convert(m *contract.Model) (object, error) {
	v, err := copyOf(m.Types)
	if err != nil {
		return nil, fmt.Errorf("convert schemas: %w", err)
	}
	rewrite(v)
	return v.(object), nil
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
			v["$ref"] = schemaRef + strings.TrimPrefix(target, "#/$defs/")
		}
	}
}

// collect puts every type that v refers to into used.
func collect(types object, v any, used object) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			collect(types, item, used)
		}
	case object:
		if target, ok := v["$ref"].(string); ok {
			name, found := strings.CutPrefix(target, schemaRef)
			if _, have := used[name]; found && !have {
				used[name] = types[name]
				collect(types, types[name], used)
			}
		}
		for child := range maps.Values(v) {
			collect(types, child, used)
		}
	}
}
