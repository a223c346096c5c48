package compat

import (
	"fmt"
	"slices"

	"supmesh.dev/tools/gen/schemas"
)

// rows compares the catalogues.
func rows(was, now schemas.Catalogue) (out []string) {
	for _, o := range was.Requests {
		name := o.Event
		if name == "" {
			name = o.Subject
		}
		i := slices.IndexFunc(now.Requests, func(n schemas.CatalogueRequest) bool {
			return n.Event == o.Event && n.Subject == o.Subject
		})
		if i < 0 {
			out = append(out, name+": request removed or renamed")
			continue
		}
		n := now.Requests[i]
		if o.HTTP != "" && n.HTTP != o.HTTP {
			out = append(out, fmt.Sprintf("%s: route %s changed to %q", name, o.HTTP, n.HTTP))
		}
		if n.Request != o.Request || n.Ack != o.Ack {
			out = append(out, fmt.Sprintf("%s: payloads %s, %s changed to %s, %s", name, o.Request, o.Ack, n.Request, n.Ack))
		}
		if o.Idempotent && !n.Idempotent {
			out = append(out, name+": no longer safe to repeat")
		}
	}
	for _, o := range was.Events {
		i := slices.IndexFunc(now.Events, func(n schemas.CatalogueEvent) bool { return n.Event == o.Event })
		if i < 0 {
			out = append(out, o.Event+": event removed or renamed")
			continue
		}
		n := now.Events[i]
		if n.Payload != o.Payload {
			out = append(out, fmt.Sprintf("%s: payload %s changed to %s", o.Event, o.Payload, n.Payload))
		}
		if o.Durable && !n.Durable || o.Offset && !n.Offset {
			out = append(out, o.Event+": no longer durable")
		}
	}
	return out
}

// codes compares the error and close codes: what a client does after one was
// decided when it was written.
func codes(was, now schemas.Codes) (out []string) {
	for _, o := range was.Errors {
		i := slices.IndexFunc(now.Errors, func(n schemas.ErrorCode) bool { return n.Code == o.Code })
		switch {
		case i < 0:
			out = append(out, string(o.Code)+": code removed")
		case now.Errors[i].Retryable != o.Retryable:
			out = append(out, string(o.Code)+": retryable changed")
		case now.Errors[i].Status != o.Status:
			out = append(out, string(o.Code)+": HTTP status changed")
		}
	}
	for _, o := range was.Closes {
		i := slices.IndexFunc(now.Closes, func(n schemas.CloseCode) bool { return n.Code == o.Code })
		switch {
		case i < 0:
			out = append(out, fmt.Sprintf("%d: close code removed", o.Code))
		case now.Closes[i].Reconnect != o.Reconnect:
			out = append(out, fmt.Sprintf("%d: reconnect changed", o.Code))
		}
	}
	return out
}
