// Package mesh runs the mesh for end-to-end tests: as one process (`sup up`) or
// as separate processes with a real nats-server and redis-server, and drives it
// with stock clients. Everything it starts it ends, by process id.
package mesh
