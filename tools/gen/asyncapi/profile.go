package asyncapi

import (
	"encoding/json"
	"fmt"

	"supmesh.dev/tools/gen/contract"
)

// The frames of the two profiles. In Socket.IO the payload shown is the JSON
// after the packet's type and ack id; an offset is its last item.
var socketio = profile{
	name: "socketio", address: "/socket.io/", title: "Socket.IO",
	description: "Engine.IO 4 and Socket.IO 5, namespace /. A payload is the JSON array of an EVENT (42) or ACK (43) packet.",
	request:     func(name string, payload object) object { return tuple(name, constant(name), payload) },
	event: func(name string, payload object) object {
		return tuple(name, constant(name), payload, object{"type": "string", "description": "the offset"})
	},
	ack: func(name string, payload object) object { return tuple(name, payload) },
}

var plain = profile{
	name: "plain", address: "/ws", title: "Plain websocket",
	description: "UTF-8 JSON text frames.",
	request: func(name string, payload object) object {
		return frameOf([]any{"event"}, object{
			"event": constant(name), "data": payload, "ack": object{"type": "integer"},
			"meta": object{"type": "object", "properties": object{"traceparent": object{"type": "string"}}},
		})
	},
	event: func(name string, payload object) object {
		return frameOf([]any{"event", "data", "offset"}, object{
			"event": constant(name), "data": payload, "offset": object{"type": "string"},
		})
	},
	ack: func(_ string, payload object) object {
		return frameOf([]any{"ack", "data"}, object{"ack": object{"type": "integer"}, "data": payload})
	},
}

func constant(name string) object { return object{"type": "string", "const": name} }

func tuple(_ string, items ...any) object {
	return object{"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
}

func frameOf(required []any, properties object) object {
	return object{"type": "object", "required": required, "properties": properties}
}

// withoutOffset is the frame of an event that ends in its object.
func withoutOffset(payload object) object {
	if items, ok := payload["items"].([]any); ok {
		return tuple("", items[:2]...)
	}
	properties := payload["properties"].(object)
	delete(properties, "offset")
	payload["required"] = []any{"event", "data"}
	return payload
}

const exampleOffset = "Qm3yJm0xR2c5b1ZkT3pGQw"

func frame(p profile, e contract.Event) (any, error) {
	switch {
	case p.name == socketio.name && e.HasOffset():
		return []any{e.Name, e.Example, exampleOffset}, nil
	case p.name == socketio.name:
		return []any{e.Name, e.Example}, nil
	case p.name == plain.name && e.HasOffset():
		return object{"event": e.Name, "data": e.Example, "offset": exampleOffset}, nil
	case p.name == plain.name:
		return object{"event": e.Name, "data": e.Example}, nil
	}
	return nil, fmt.Errorf("write an example of %s: no profile %s", e.Name, p.name)
}

func requestFrame(p profile, r contract.Request) any {
	if p.name == socketio.name {
		return []any{r.Event, r.Example}
	}
	return object{"event": r.Event, "data": r.Example, "ack": 1}
}

func ackFrame(p profile, ack json.RawMessage) any {
	if p.name == socketio.name {
		return []any{ack}
	}
	return object{"ack": 1, "data": ack}
}
