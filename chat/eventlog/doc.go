// Package eventlog is chat's hold on the two streams it writes: EVENTS, the
// log of everything durable, and RECEIPTS, the newest cursors.
//
// Appends name the position they follow (compare and set per subject), so any
// number of writers gives one dense order. An append whose outcome is unknown
// may be repeated with the same key inside the stream's window: it is stored
// once. Reads are direct gets and may be behind the leader by a moment; a
// caller that has seen a position asks until it is there. Nothing is cached here.
package eventlog
