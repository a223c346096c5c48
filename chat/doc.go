// Package chat is the chat service: messages, membership and what each device
// has had.
//
// It owns the log subjects ev.chat.<chat>.msg and .meta, the stream RECEIPTS and
// the chat keys of Redis. What it promises: a message is acked only after the
// log has stored it; seq is dense per chat and equals the order of the log,
// whatever the number of instances; a send repeated under its tempId within 24 h
// is stored once; what Redis held can be rebuilt from the log. A crash between
// log and Redis loses nothing: the hole is seen by the next who looks, and filled.
// Cursors only move forward and are stored before they are acked; that authors
// hear of it is live only, once for each message, and lost in a crash.
package chat
