// Package engineio is the server side of Engine.IO protocol v4 over HTTP long-polling and websocket, with the upgrade from
// the first to the second. It carries messages and knows nothing of what is in them.
//
// It owns sessions: their ids, their transport, their heartbeat, the packets queued for a poll, and the answers to bad
// requests. The websocket itself belongs to wsconn.
//
// Guarantees:
//   - Messages of one session reach the Handler one at a time and in the order in which the client sent them, across
//     transports; Open comes before the first, Closed exactly once and after the last.
//   - Frames reach the client in the order of Send, across the upgrade, and the frames of one Send stay adjacent.
//   - What the client sends right behind the open packet is never lost: reading starts after Open has returned.
//   - Only the pong counts as a sign of life. A session that does not answer a ping within PingTimeout ends.
//   - A malformed request or packet ends its own session at most.
//
// What is queued when a session ends without Close (ping timeout, lost transport) is lost; delivery beyond the life of a
// session is the business of the layers above. Nothing is kept in a crash.
package engineio
