package asyncapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/schemas"
)

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// profile is one way to speak to the gateway.
type profile struct {
	name, address, title, description string
	request, event, ack               func(name string, payload object) object
}

// File is the document.
func File(m *contract.Model) ([]byte, error) {
	types, err := convert(m)
	if err != nil {
		return nil, fmt.Errorf("convert schemas: %w", err)
	}
	messages, operations, channels := object{}, object{}, object{}
	for _, p := range []profile{socketio, plain} {
		inChannel := object{}
		use := func(id string, message object) object {
			messages[id] = message
			inChannel[id] = ref("components/messages/" + id)
			return ref("channels/" + p.name + "/messages/" + id)
		}
		failure := use(p.name+".failure", ackMessage(p, "failure", contract.FailureType, "The ack of a request that failed.", nil))
		for _, r := range m.ClientRequests() {
			addRequest(p, r, use, failure, operations)
		}
		for _, e := range m.Events {
			id := p.name + ".event." + ident(e.Name)
			payload := p.event(e.Name, ref("components/schemas/"+e.Payload))
			if !e.HasOffset() {
				payload = withoutOffset(payload)
			}
			example, err := frame(p, e)
			if err != nil {
				return nil, err
			}
			message := use(id, object{
				"name": e.Name, "title": e.Name, "summary": e.Summary, "contentType": "application/json", "payload": payload,
				"examples": []any{object{"name": ident(e.Name), "payload": example}},
			})
			operations[p.name+".send."+ident(e.Name)] = object{
				"action": "send", "summary": e.Summary, "channel": ref("channels/" + p.name), "messages": []any{message},
				"x-audience": e.To, "x-durable": e.Durable, "x-offset": e.HasOffset(),
			}
		}
		channels[p.name] = object{
			"address": p.address, "title": p.title, "description": p.description,
			"servers": []any{ref("servers/gateway")}, "messages": inChannel, "bindings": bindings(p),
		}
	}
	doc := header(m)
	maps.Copy(doc, object{
		"channels": channels, "operations": operations,
		"components": object{"schemas": types, "messages": messages, "securitySchemes": security},
	})
	return schemas.Encode(doc)
}

func addRequest(p profile, r contract.Request, use func(string, object) object, failure object, operations object) {
	name := ident(r.Event)
	request := use(p.name+".request."+name, object{
		"name": r.Event, "title": r.Event, "summary": r.Summary, "contentType": "application/json",
		"payload":  p.request(r.Event, ref("components/schemas/"+r.Req)),
		"examples": []any{object{"name": name, "payload": requestFrame(p, r)}},
	})
	ack := use(p.name+".ack."+name, ackMessage(p, r.Event+" ack", r.Ack, "The ack of "+r.Event+".", r.ExampleAck))
	operation := object{
		"action": "receive", "summary": r.Summary, "channel": ref("channels/" + p.name), "messages": []any{request},
		"reply":        object{"channel": ref("channels/" + p.name), "messages": []any{ack, failure}},
		"x-timeout-ms": r.Timeout.Milliseconds(),
		"x-idempotent": r.Idempotent,
		"x-codes":      slices.Concat(proto.CommonErrors, r.Errors),
	}
	if l := schemas.NewLimit(r.Limit); l != nil {
		operation["x-rate-limit"] = l
	}
	if r.Subject != "" {
		operation["x-nats-subject"] = r.Subject
	}
	operations[p.name+".receive."+name] = operation
}

func ackMessage(p profile, name, typ, summary string, example json.RawMessage) object {
	message := object{
		"name": name, "title": name, "summary": summary, "contentType": "application/json",
		"payload": p.ack(name, ref("components/schemas/"+typ)),
	}
	if example != nil {
		message["examples"] = []any{object{"name": ident(name), "payload": ackFrame(p, example)}}
	}
	return message
}

func ref(path string) object { return object{"$ref": "#/" + path} }

// ident is a name as AsyncAPI wants keys: [A-Za-z0-9._-].
func ident(name string) string { return strings.NewReplacer(":", ".", " ", "-").Replace(name) }
