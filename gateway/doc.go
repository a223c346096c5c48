// Package gateway is the edge of the mesh: client connections in, NATS
// subjects out. It owns connections, and nothing that outlives them.
//
// Guarantees:
//
//   - Durable events reach every session they are for once, in the order of
//     each chat's log, without a hole: live copies that are missing are read
//     from the log, what a device has not had is sent before what is live.
//   - After chat:member-left, nothing more of that chat reaches its user.
//   - Every event with an ack id is acked exactly once; events of one session
//     for one service are made in the order of arrival, one at a time.
//   - What waits for one client is bounded in bytes; a client that does not
//     keep up is closed and comes back from where it was.
//   - Who acts is set here, from the verified token, and nowhere else.
//
// A crash loses the connections and requests under way, nothing that was
// acked: the log has it.
package gateway
