package proto_test

import (
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

var (
	subjectForm = regexp.MustCompile(`^rpc\.[a-z]+\.[a-z]+(-[a-z]+)*$`)
	eventForm   = regexp.MustCompile(`^[a-z]+(:[a-z]+(-[a-z]+)*)?$`)
	routeForm   = regexp.MustCompile(`^(GET|PUT|POST|PATCH|DELETE) /v1(/[a-z]+|/\{[a-zA-Z]+\})+$`)
	routeParam  = regexp.MustCompile(`\{(\w+)\}`)
)

// reserved are the names Socket.IO keeps for itself: no event may have one.
var reserved = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

func TestRequestRows(t *testing.T) {
	t.Parallel()
	subjects, events, routes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range proto.Endpoints {
		row, req, res := e.Describe()
		t.Run(row.Name(), func(t *testing.T) {
			require.NotEmpty(t, row.Summary)
			require.Positive(t, row.Timeout)
			for _, code := range row.Errors {
				require.True(t, code.Known(), "%s", code)
				require.NotContains(t, proto.CommonErrors, code, "said of every request")
			}
			require.False(t, row.Subject == "" && row.Event == "", "nobody can make it")
			if row.Subject != "" {
				require.Regexp(t, subjectForm, row.Subject)
				require.False(t, subjects[row.Subject], "subject twice")
				subjects[row.Subject] = true
			}
			if row.Event != "" {
				require.Regexp(t, eventForm, row.Event)
				require.NotContains(t, reserved, row.Event)
				require.False(t, events[row.Event], "event twice")
				events[row.Event] = true
				require.Positive(t, row.Limit.N, "clients are limited")
				require.Positive(t, row.Limit.Per)
			} else {
				require.Zero(t, row.Limit, "limits are for clients")
			}
			if row.HTTP != "" {
				require.Regexp(t, routeForm, row.HTTP)
				require.False(t, routes[row.HTTP], "route twice")
				routes[row.HTTP] = true
				require.NotPanics(t, func() { http.NewServeMux().Handle(row.HTTP, http.NotFoundHandler()) })
				names := jsonNames(req)
				for _, p := range routeParam.FindAllStringSubmatch(row.HTTP, -1) {
					require.Contains(t, names, p[1], "the route's parameter is a field of the request")
				}
			}
			require.Implements(t, (*interface{ Validate() error })(nil), reflect.New(req).Interface())
			require.Equal(t, reflect.Struct, res.Kind())
			require.NotContains(t, jsonNames(res), "success", "the chassis writes it")
			require.NotContains(t, jsonNames(res), "requestId", "the chassis writes it")
		})
	}
}

func TestAdminRoutesStandTogether(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	for _, e := range proto.Endpoints {
		if row, _, _ := e.Describe(); row.HTTP != "" {
			require.NotPanics(t, func() { mux.Handle(row.HTTP, http.NotFoundHandler()) }, row.HTTP)
		}
	}
}

func TestContractLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row     proto.Row
		limit   int
		per     time.Duration
		timeout time.Duration
	}{
		{proto.SendMessage.Row, 30, time.Minute, 15 * time.Second},
		{proto.MarkDelivered.Row, 100, time.Minute, 5 * time.Second},
		{proto.MarkRead.Row, 100, time.Minute, 5 * time.Second},
		{proto.StartTyping.Row, 10, 10 * time.Second, 5 * time.Second},
		{proto.EditMessage.Row, 30, time.Minute, 5 * time.Second},
		{proto.DeleteMessage.Row, 30, time.Minute, 5 * time.Second},
		{proto.UpdatePresence.Row, 20, time.Minute, 5 * time.Second},
		{proto.SyncPull.Row, 30, time.Minute, 5 * time.Second},
	} {
		require.Equal(t, proto.Limit{N: c.limit, Per: c.per}, c.row.Limit, c.row.Event)
		require.Equal(t, c.timeout, c.row.Timeout, c.row.Event)
	}
}

func TestServerEventRows(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, e := range proto.ServerEvents {
		row, payload := e.DescribeEvent()
		require.Regexp(t, eventForm, row.Name)
		require.NotContains(t, reserved, row.Name)
		require.False(t, names[row.Name], "%s twice", row.Name)
		names[row.Name] = true
		require.NotEmpty(t, row.Summary, row.Name)
		require.True(t, slices.Contains([]proto.Audience{proto.ToSocket, proto.ToUser, proto.ToChat, proto.ToView, proto.ToSubscribers}, row.To), row.Name)
		require.Equal(t, reflect.Struct, payload.Kind(), "%s ends in an object: the stock client keeps a trailing string as its offset", row.Name)
		if row.Durable {
			require.True(t, row.To == proto.ToChat || row.To == proto.ToUser, "%s: a socket outlives nothing", row.Name)
		}
	}
}

// TestWireNames: no name on the wire comes from a Go identifier by accident,
// and none stands twice in one object.
func TestWireNames(t *testing.T) {
	t.Parallel()
	camel := regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	for _, typ := range wireTypes() {
		names := jsonNames(typ)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), typ.Name())
		for i, n := range names {
			require.Regexp(t, camel, n, "%s.%s", typ.Name(), typ.Field(i).Name)
		}
	}
}

// wireTypes is every struct that some row puts on a wire.
func wireTypes() []reflect.Type {
	var out []reflect.Type
	seen := map[reflect.Type]bool{reflect.TypeFor[proto.Timestamp](): true}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(t.Elem())
		case reflect.Struct:
			if !seen[t] {
				seen[t] = true
				out = append(out, t)
				for i := range t.NumField() {
					walk(t.Field(i).Type)
				}
			}
		}
	}
	for _, e := range proto.Endpoints {
		_, req, res := e.Describe()
		walk(req)
		walk(res)
	}
	for _, e := range proto.ServerEvents {
		_, payload := e.DescribeEvent()
		walk(payload)
	}
	walk(reflect.TypeFor[proto.Failure]())
	return out
}

func jsonNames(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}
