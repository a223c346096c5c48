package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
)

// Files is the content of each file by its path under proto/schema.
func Files(m *contract.Model) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range m.Roots() {
		used := jsonschema.Definitions{}
		collect(m.Types, name, used)
		b, err := Encode(&jsonschema.Schema{Version: jsonschema.Version, Title: name, Ref: "#/$defs/" + name, Definitions: used})
		if err != nil {
			return nil, fmt.Errorf("write the schema of %s: %w", name, err)
		}
		out["json/"+name+".json"] = b
	}
	for path, v := range map[string]any{"catalogue.json": NewCatalogue(m), "codes.json": NewCodes(m)} {
		b, err := Encode(v)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		out[path] = b
	}
	return out, nil
}

// collect puts a type and all it refers to into used.
func collect(all jsonschema.Definitions, name string, used jsonschema.Definitions) {
	if _, have := used[name]; have || all[name] == nil {
		return
	}
	used[name] = all[name]
	walk(all[name], func(s *jsonschema.Schema) {
		if ref := contract.RefName(s); ref != "" {
			collect(all, ref, used)
		}
	})
}

func walk(s *jsonschema.Schema, visit func(*jsonschema.Schema)) {
	if s == nil {
		return
	}
	visit(s)
	walk(s.Items, visit)
	walk(s.AdditionalProperties, visit)
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			walk(p.Value, visit)
		}
	}
}

// Encode is v as indented JSON with a line break at its end.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Catalogue is catalogue.json: every row with the names of its payloads.
type Catalogue struct {
	Requests []CatalogueRequest `json:"requests"`
	Events   []CatalogueEvent   `json:"events"`
}

// CatalogueRequest is one request.
type CatalogueRequest struct {
	Event      string `json:"event,omitempty"`
	Subject    string `json:"subject,omitempty"`
	HTTP       string `json:"http,omitempty"`
	Request    string `json:"request"`
	Ack        string `json:"ack"`
	Limit      *Limit `json:"limit,omitempty"`
	TimeoutMs  int64  `json:"timeoutMs"`
	Idempotent bool   `json:"idempotent"`
	// Errors is beside the common ones, which codes.json lists.
	Errors  []proto.Code `json:"errors,omitempty"`
	Summary string       `json:"summary"`
}

// Limit is the default rate limit of one user.
type Limit struct {
	Requests int   `json:"requests"`
	WindowMs int64 `json:"windowMs"`
}

// CatalogueEvent is one server event.
type CatalogueEvent struct {
	Event    string         `json:"event"`
	Payload  string         `json:"payload"`
	Audience proto.Audience `json:"audience"`
	Durable  bool           `json:"durable"`
	Offset   bool           `json:"offset"`
	Summary  string         `json:"summary"`
}

// NewCatalogue is the model's rows.
func NewCatalogue(m *contract.Model) Catalogue {
	var c Catalogue
	for _, r := range m.Requests {
		c.Requests = append(c.Requests, CatalogueRequest{
			Event: r.Event, Subject: r.Subject, HTTP: r.HTTP, Request: r.Req, Ack: r.Ack, Limit: NewLimit(r.Limit),
			TimeoutMs: r.Timeout.Milliseconds(), Idempotent: r.Idempotent, Errors: r.Errors, Summary: r.Summary,
		})
	}
	for _, e := range m.Events {
		c.Events = append(c.Events, CatalogueEvent{
			Event: e.Name, Payload: e.Payload, Audience: e.To, Durable: e.Durable, Offset: e.HasOffset(), Summary: e.Summary,
		})
	}
	return c
}

// NewLimit is nil where there is no limit.
func NewLimit(l proto.Limit) *Limit {
	if l.N == 0 {
		return nil
	}
	return &Limit{Requests: l.N, WindowMs: l.Per.Milliseconds()}
}

// Codes is codes.json.
type Codes struct {
	// Common is what any request of a client can fail with.
	Common []proto.Code `json:"common"`
	Errors []ErrorCode  `json:"errors"`
	Closes []CloseCode  `json:"closes"`
}

// ErrorCode is one error code.
type ErrorCode struct {
	Code      proto.Code `json:"code"`
	Title     string     `json:"title"`
	Retryable bool       `json:"retryable"`
	Status    int        `json:"httpStatus"`
}

// CloseCode is one websocket close code of the plain profile.
type CloseCode struct {
	Code      proto.CloseCode `json:"code"`
	Reason    string          `json:"reason"`
	Reconnect bool            `json:"reconnect"`
}

// NewCodes is the model's codes.
func NewCodes(m *contract.Model) Codes {
	c := Codes{Common: proto.CommonErrors}
	for _, r := range m.Codes {
		c.Errors = append(c.Errors, ErrorCode{r.Code, r.Title, r.Retryable, r.Status})
	}
	for _, r := range m.Closes {
		c.Closes = append(c.Closes, CloseCode{r.Code, r.Reason, r.Reconnect})
	}
	return c
}
