// Package chat is the chat service: messages and what becomes of them,
// membership, and what each device has had.
//
// It owns the log subjects ev.chat.<chat>.msg, .edit and .meta, the stream
// RECEIPTS, the queue of messages whose time is over, and the chat keys of Redis. What it promises: a message is acked only after the
// log has stored it; seq is dense per chat and equals the order of the log,
// whatever the number of instances; a send repeated under its tempId within 24 h
// is stored once; an acked edit or deletion is seen by every later read, and
// nothing follows a deletion; no read shows a message past its end. What Redis
// held can be rebuilt from the log. A crash between
// log and Redis loses nothing: the hole is seen by the next who looks, and filled.
// Cursors only move forward and are stored before they are acked; that authors
// hear of it is live only, once for each message, and lost in a crash.
package chat
