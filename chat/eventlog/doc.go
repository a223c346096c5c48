// Package eventlog appends to the two streams that chat writes: EVENTS, the log of
// everything durable, and RECEIPTS, the newest cursors. It reads them by services/eventlog.
//
// Appends name the position they follow (compare and set per subject), so any
// number of writers gives one dense order. An append whose outcome is unknown
// may be repeated with the same key inside the stream's window: it is stored
// once. Nothing is cached here.
package eventlog
