package services

import (
	"context"
	"fmt"
	"reflect"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Route is one row of a service's table: an endpoint and its handler, with the
// types erased.
type Route struct {
	row        proto.Row
	decode     func(data []byte) (any, error)
	validate   func(req any) error
	handle     func(ctx context.Context, req any) (any, error)
	keyBy      func(req any) string // nil: by the acting user, known before decoding
	workers    int
	maxPending int
	err        error // a mistake in the table, reported at start
}

// Defaults of a route. Handlers mostly wait for Redis or the log, so workers
// are many more than cores; pending bounds memory and waiting time.
const (
	DefaultWorkers    = 64
	DefaultMaxPending = 4096
)

// RouteOption changes how a route's requests run.
type RouteOption func(*Route)

// KeyBy orders requests by a key of their payload in place of the acting user:
// those of one key run one after the other, in the order of arrival at this
// instance. The empty key is no order. fn sees the request before it is
// validated. A keyed route is decoded by the one goroutine that receives it.
func KeyBy[Req any](fn func(*Req) string) RouteOption {
	return func(r *Route) {
		r.keyBy = func(req any) string {
			typed, ok := req.(*Req)
			if !ok {
				return ""
			}
			return fn(typed)
		}
		var want Req
		if got, err := r.decode(nil); err == nil && reflect.TypeOf(got) != reflect.TypeOf(&want) {
			r.err = fmt.Errorf("route %s: KeyBy takes %T, the request is %T", r.row.Subject, &want, got)
		}
	}
}

// Unordered runs requests of one user side by side.
func Unordered() RouteOption {
	return func(r *Route) { r.keyBy = func(any) string { return "" } }
}

// Workers is how many requests of the route run at once.
func Workers(n int) RouteOption { return func(r *Route) { r.workers = n } }

// MaxPending is how many requests of the route may wait or run; the next is
// answered SERVICE_UNAVAILABLE at once.
func MaxPending(n int) RouteOption { return func(r *Route) { r.maxPending = n } }

// On binds an endpoint to its handler. The handler returns a *proto.Error for
// what the caller should know; any other error is logged and answered
// INTERNAL_ERROR. If *Req has `Validate() error` it is called first.
//
// Res is a struct or a map, and becomes the whole success ack: its fields
// between "success" and "requestId". A Res with AppendAck(dst []byte) []byte
// writes its fields itself, without the braces.
func On[Req, Res any](ep proto.Endpoint[Req, Res], fn func(ctx context.Context, req Req) (Res, error), opts ...RouteOption) Route {
	r := Route{row: ep.Row, workers: DefaultWorkers, maxPending: DefaultMaxPending}
	r.decode = func(data []byte) (any, error) {
		req := new(Req)
		if err := wire.Unmarshal(data, req); err != nil {
			return nil, err
		}
		return req, nil
	}
	r.validate = func(req any) error {
		if v, ok := req.(interface{ Validate() error }); ok {
			return v.Validate()
		}
		return nil
	}
	r.handle = func(ctx context.Context, req any) (any, error) {
		res, err := fn(ctx, *req.(*Req))
		if err != nil {
			return nil, err
		}
		return &res, nil
	}
	for _, opt := range opts {
		opt(&r)
	}
	switch t := reflect.TypeFor[Res](); {
	case t.Kind() != reflect.Struct && t.Kind() != reflect.Map:
		r.err = fmt.Errorf("route %s: an answer must be a struct or a map, not %s", ep.Subject, t)
	case ep.Subject == "":
		r.err = fmt.Errorf("route %q has no subject", ep.Event)
	case r.workers < 1 || r.maxPending < 1:
		r.err = fmt.Errorf("route %s: workers and pending must be at least 1", ep.Subject)
	}
	return r
}
