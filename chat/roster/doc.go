// Package roster is who is in what chat, in Redis: chats with their members, the
// chats and devices of a user, and the mark that says all of it is there.
//
// The truth is the log (a chat's meta entries, RECEIPTS); this is applied from
// it, version after version, and rebuilt when the mark is missing. A user's
// chats are kept as chat → twice the version of the last change, plus one for a
// member: the newest change wins in whatever order they come.
package roster
