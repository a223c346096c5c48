package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"supmesh.dev/proto"
	"supmesh.dev/proto/example"
)

// Model is everything the documents say.
type Model struct {
	Requests []Request
	Events   []Event
	Codes    []proto.CodeRow
	Closes   []proto.CloseRow
	// Types is every payload by name, with references as #/$defs/<name>.
	Types jsonschema.Definitions
}

// Request is one row of proto.Endpoints.
type Request struct {
	proto.Row
	Req, Ack   string // names in Types
	ReqType    reflect.Type
	Example    any
	ExampleOr  any // the other form of the request, or nil
	ExampleAck json.RawMessage
}

// Event is one row of proto.ServerEvents.
type Event struct {
	proto.EventRow
	Payload string // name in Types
	Example any
}

// FailureType is the name of the failure ack in Types.
const FailureType = "Failure"

// Load makes the model; protoDir is where proto's source stands, for its comments.
func Load(protoDir string) (*Model, error) {
	comments, err := readComments(protoDir)
	if err != nil {
		return nil, err
	}
	d := newDefiner(comments)
	m := &Model{Codes: proto.Codes, Closes: proto.CloseCodes}
	for i, e := range proto.Endpoints {
		row, req, res := e.Describe()
		ex := example.Requests()[i]
		r := Request{Row: row, Req: req.Name(), Ack: ackName(res.Name()), ReqType: req, Example: ex.Req, ExampleOr: ex.Or}
		if r.ExampleAck, err = ack(ex.Res); err != nil {
			return nil, fmt.Errorf("describe %s: %w", row.Name(), err)
		}
		if err := d.add(req); err != nil {
			return nil, fmt.Errorf("describe %s: %w", row.Name(), err)
		}
		if err := d.addAck(res, r.Ack); err != nil {
			return nil, fmt.Errorf("describe %s: %w", row.Name(), err)
		}
		m.Requests = append(m.Requests, r)
	}
	for i, e := range proto.ServerEvents {
		row, payload := e.DescribeEvent()
		if err := d.add(payload); err != nil {
			return nil, fmt.Errorf("describe %s: %w", row.Name, err)
		}
		m.Events = append(m.Events, Event{EventRow: row, Payload: payload.Name(), Example: example.Events()[i].Payload})
	}
	if err := d.add(reflect.TypeFor[proto.Failure]()); err != nil {
		return nil, fmt.Errorf("describe the failure ack: %w", err)
	}
	constant(d.defs[FailureType], "success", false)
	m.Types = d.defs
	return m, d.dangling()
}

// ack is a response as the ack that carries it: the chassis puts its fields
// between success and requestId.
func ack(res any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(res); err != nil {
		return nil, fmt.Errorf("encode the ack: %w", err)
	}
	fields := bytes.TrimSuffix(bytes.TrimPrefix(b.Bytes(), []byte("{")), []byte("}\n"))
	return []byte(`{"success":true,` + string(fields) + `,"requestId":"` + example.RequestID + `"}`), nil
}

// ackName is the name of a response once success and requestId are in it.
func ackName(res string) string { return strings.TrimSuffix(res, "Res") + "Ack" }

// ClientRequests is the rows a client can make.
func (m *Model) ClientRequests() []Request {
	var out []Request
	for _, r := range m.Requests {
		if r.Event != "" {
			out = append(out, r)
		}
	}
	return out
}

// Roots is every type that is a whole payload, in the order of the catalogue.
func (m *Model) Roots() []string {
	var out []string
	seen := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	for _, r := range m.Requests {
		add(r.Req, r.Ack)
	}
	for _, e := range m.Events {
		add(e.Payload)
	}
	add(FailureType)
	return out
}

// RefName is the type a reference names, or "".
func RefName(s *jsonschema.Schema) string { return strings.TrimPrefix(s.Ref, refPrefix) }

const refPrefix = "#/$defs/"
