// Package socketio is the server side of Socket.IO protocol v5 on top of engineio: namespaces, events, acknowledgements in
// both directions, binary attachments. It routes packets and knows nothing of what the events mean.
//
// Payloads are never decoded: an event is split into its name, its first argument and its ack id, its JSON is checked to be
// valid, whatever its depth, and the bytes are passed on.
//
// Guarantees:
//   - For one session Connect, Connected, Event and Disconnected come one at a time. Events come in the order in which the
//     client sent them and none before Connected. Disconnected comes exactly once for every Connect that succeeded.
//   - A packet that breaks the protocol (unknown type, invalid JSON, a reserved or missing event name, too many attachments,
//     a packet of a namespace not connected to) closes the transport of its own session and nothing else.
//   - A session that is in no namespace for ConnectTimeout is closed.
//
// The package sends nothing by itself but the answers to CONNECT; in particular it does not ack events.
package socketio
