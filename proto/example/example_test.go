package example_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
	"supmesh.dev/proto/example"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryRowHasAnExampleOfItsTypes(t *testing.T) {
	t.Parallel()
	requests := example.Requests()
	require.Len(t, requests, len(proto.Endpoints))
	for i, ex := range requests {
		want, _, _ := proto.Endpoints[i].Describe()
		row, req, res := ex.Row.Describe()
		require.Equal(t, want, row, "examples stand in the catalogue's order")
		require.Equal(t, req, reflect.TypeOf(ex.Req), row.Name())
		require.Equal(t, res, reflect.TypeOf(ex.Res), row.Name())
	}
	events := example.Events()
	require.Len(t, events, len(proto.ServerEvents))
	for i, ex := range events {
		want, _ := proto.ServerEvents[i].DescribeEvent()
		row, payload := ex.Row.DescribeEvent()
		require.Equal(t, want, row, "examples stand in the catalogue's order")
		require.Equal(t, payload, reflect.TypeOf(ex.Payload), row.Name)
	}
}

func TestRequestsAreValid(t *testing.T) {
	t.Parallel()
	for _, ex := range example.Requests() {
		row, _, _ := ex.Row.Describe()
		for _, req := range []any{ex.Req, ex.Or} {
			if req == nil {
				continue
			}
			p := reflect.New(reflect.TypeOf(req))
			p.Elem().Set(reflect.ValueOf(req))
			v, ok := p.Interface().(interface{ Validate() error })
			require.True(t, ok, "%s has no Validate", row.Name())
			require.NoError(t, v.Validate(), row.Name())
		}
	}
}

// TestEveryFieldIsShown keeps the golden files complete: a field that no
// example sets would never be seen on the wire by a test.
func TestEveryFieldIsShown(t *testing.T) {
	t.Parallel()
	shown, all := map[string]bool{}, map[string]bool{}
	for _, ex := range example.Requests() {
		fields(reflect.ValueOf(ex.Req), shown, all)
		fields(reflect.ValueOf(ex.Res), shown, all)
		if ex.Or != nil {
			fields(reflect.ValueOf(ex.Or), shown, all)
		}
	}
	for _, ex := range example.Events() {
		fields(reflect.ValueOf(ex.Payload), shown, all)
	}
	for name := range all {
		require.True(t, shown[name], "%s is zero in every example", name)
	}
}

func fields(v reflect.Value, shown, all map[string]bool) {
	switch {
	case v.Type() == reflect.TypeFor[proto.Timestamp]() || v.Type() == reflect.TypeFor[proto.Raw]():
	case v.Kind() == reflect.Pointer && !v.IsNil():
		fields(v.Elem(), shown, all)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fields(v.Index(i), shown, all)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			all[name] = true
			if !v.Field(i).IsZero() {
				shown[name] = true
			}
			fields(v.Field(i), shown, all)
		}
	}
}
