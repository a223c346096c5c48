// Package services is the chassis: what every service and the gateway stand on.
//
// It owns the life of a process (configuration, start, stop and drain), the
// connections to NATS and Redis, the routes that requests come in by and the
// calls that go out, rate limits, the check of streams at start, logs, metrics,
// traces and the health listener. It knows no word of the domain: what a
// request means is its handler's business, what it is called stands in proto.
//
// Guarantees:
//
//   - A request accepted by a route gets one answer, success or coded error,
//     unless its deadline has passed: then nobody waits and it is dropped.
//   - Requests of one key run one after the other, in the order of arrival.
//   - Nothing is sent late: while NATS is away a publish fails at once, and no
//     buffer delivers it after the caller has given up.
//   - A part that ends with an error ends the host with that error. A host
//     stops in one order: routes drain, Run ends, parts end, connections close.
//   - There is no global state: any number of hosts live in one process.
package services
