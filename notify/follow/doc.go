// Package follow reads the log and has notify do what follows from it: make
// notifications, and queue pushes. What is decided is package decide's.
//
// Three followers share the work (services.Follow): one acts at once (mentions,
// replies, reactions, invitations, calls, and notifications of users who have no
// connection), one when a message or a notification has been there for PUSH_AFTER
// and has reached nobody, one takes back what was pushed of a chat that has been read
// (the cursors of RECEIPTS). An entry is acked after all that follows from it is
// stored, each under a key, so that a crash repeats what changes nothing. What
// is of one chat, or of one user, is done in the order of the log. After an
// outage everything is gone through; what is too old for a push makes none.
package follow
