// Package wsconn owns the server side of one websocket: the upgrade, the outbound queue, the reads and the close. It knows
// nothing of Engine.IO, of events or of NATS, and it is the only package that touches a socket.
//
// Guarantees, per connection:
//
//   - Order: frames leave in the order of the Send calls; a frame is never torn by another one, whoever made it.
//   - Bounded: at most Config.MaxQueueBytes wait in memory (or one frame, if that is larger); beyond that Send answers
//     ErrFull at once. Send never blocks, and a slow reader delays nobody else.
//   - Close last: what was queued before Close goes out first, nothing follows a close frame (RFC 6455 section 5.5.1), and the
//     socket is gone Config.CloseTimeout later at the latest.
//   - Serial reads: Handler.Message calls of a connection never overlap; Handler.Closed comes exactly once, after the last.
//   - Hostile peers: every violation ends the connection with its close code (see guard.go), and costs bounded memory and CPU.
//
// Delivery is at most once: a frame accepted by Send may be lost with the connection. A crash loses every queue.
package wsconn
