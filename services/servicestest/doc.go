// Package servicestest gives tests the real parts: an embedded NATS server
// with JetStream, a redis-server process, a host on both, and a way to wait
// that has a deadline and a reason. Nothing here is a mock.
package servicestest
