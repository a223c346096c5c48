package services_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// TestGuards asks each guard as a user, a backend, a backend for a user and a
// service, through the chain.
func TestGuards(t *testing.T) {
	t.Parallel()
	h := servicestest.NewHost(t, "test", servicestest.RunNATS(t), nil)
	guards := map[string]func(context.Context) error{
		"user":    func(ctx context.Context) error { _, err := services.CallerFrom(ctx); return err },
		"backend": services.BackendOnly,
		"service": services.ServiceOnly,
	}
	rows := map[string]proto.Endpoint[echoReq, echoRes]{}
	var routes []services.Route
	for name, guard := range guards {
		rows[name] = endpoint[echoReq, echoRes]("rpc.test.guard." + name)
		routes = append(routes, services.On(rows[name], func(ctx context.Context, _ echoReq) (echoRes, error) { return echoRes{}, guard(ctx) }))
	}
	h.Serve(routes...)
	servicestest.Run(t, h, servicestest.Service{})

	const no, who = proto.PermissionDenied, proto.AuthenticationRequired
	for _, row := range []struct {
		name                   string
		actor                  proto.Actor
		user, backend, service proto.Code
	}{
		{"user", proto.Actor{User: "ann"}, "", no, no},
		{"backend", proto.Actor{Backend: true}, who, "", no},
		{"backend for a user", proto.Actor{User: "ann", Backend: true}, "", "", no},
		{"service", proto.Actor{}, who, no, ""},
	} {
		for guard, want := range map[string]proto.Code{"user": row.user, "backend": row.backend, "service": row.service} {
			_, err := services.Do(t.Context(), h, rows[guard], row.actor, echoReq{})
			if want == "" {
				require.NoError(t, err, "%s at %s", row.name, guard)
			} else {
				require.ErrorIs(t, err, &proto.Error{Code: want}, "%s at %s", row.name, guard)
			}
		}
	}
	for name, guard := range guards {
		require.Error(t, guard(t.Context()), "%s without a request", name)
	}
}

func TestACallerIsAToken(t *testing.T) {
	t.Parallel()
	h := servicestest.NewHost(t, "test", servicestest.RunNATS(t), nil)
	var got services.Caller
	h.Serve(services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
		var err error
		got, err = services.CallerFrom(ctx)
		return echoRes{}, err
	}))
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, proto.Actor{User: "a.b*"}, echoReq{})
	require.NoError(t, err)
	want, err := proto.EncodeID("a.b*")
	require.NoError(t, err)
	require.Equal(t, want, got.User)
	require.Equal(t, "a.b*", got.Actor.User)
}
