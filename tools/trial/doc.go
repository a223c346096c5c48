// Package trial puts a mesh of real processes through faults and then compares what every client
// has with what the log has: two gateways, two instances of each service, three NATS servers with
// three copies of each stream, stock socket.io-client and plain websocket clients.
//
// The trials are tests of `make test-long`. CI runs a tenth of their length.
package trial
