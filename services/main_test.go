package services_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) {
	if addresses := os.Getenv(crashVariable); addresses != "" {
		serveUntilKilled(addresses)
		return
	}
	servicestest.Leak(m,
		// nats-server 2.15.2: of two creations of one stream in the same moment the
		// refused one leaves its file store running. TestManyMayProvisionAtOnce
		// has them collide; a mesh has one provisioning role.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}
