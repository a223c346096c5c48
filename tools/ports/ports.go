package ports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Ports are taken from below those that the kernel gives to outgoing connections
// (ip_local_port_range, from 32768): one of that range may be some client's by the
// time its server starts.
const lowest, highest = 12000, 32000

var next = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(rand.Int64N(highest - lowest))
	return &n
}()

var errNone = errors.New("no port is free")

// Free is a loopback port that nobody listens on, and that this process is given once.
func Free(ctx context.Context) (int, error) {
	for range highest - lowest {
		port := lowest + int(next.Add(1)%(highest-lowest))
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("find a port: %w", err)
		}
		return port, nil
	}
	return 0, errNone
}
