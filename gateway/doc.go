// Package main is the edge of the mesh: client sockets in, NATS subjects out.
package main
