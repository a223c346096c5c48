package up

import (
	"context"
	"fmt"

	"supmesh.dev/services"
)

// mounted is one service on its host.
type mounted struct {
	name string
	host *services.Host
	run  func(ctx context.Context) error
}

// mounts are the services of the mesh, those that others ask first.
type mounts struct {
	all []mounted
	err error
}

// add puts a service on a host of its own, unless one before failed.
func add[S services.Service](ctx context.Context, m *mounts, g *ground, name string, cfg services.Config, made func(*services.Host) (S, error)) (service S) {
	if m.err != nil {
		return service
	}
	// The layers end the hosts one after the other, not ctx all at once.
	host, err := services.NewHost(context.WithoutCancel(ctx), name, services.Version, cfg, g.hostOptions()...)
	if err != nil {
		m.err = fmt.Errorf("%s: %w", name, err)
		return service
	}
	if service, m.err = made(host); m.err != nil {
		host.Close()
		return service
	}
	m.all = append(m.all, mounted{name, host, func(ctx context.Context) error { return host.Run(ctx, service) }})
	return service
}

func (m *mounts) hosts() []*services.Host {
	hosts := make([]*services.Host, len(m.all))
	for i := range m.all {
		hosts[i] = m.all[i].host
	}
	return hosts
}

func (m *mounts) layers() []layer {
	layers := make([]layer, len(m.all))
	for i := range m.all {
		layers[i] = layer{m.all[i].name, m.all[i].run}
	}
	return layers
}

func (m *mounts) close() {
	for _, one := range m.all {
		one.host.Close()
	}
}
