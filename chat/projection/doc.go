// Package projection is chat's working state in Redis: what the log says, laid
// out for lookups. It owns the chat keys of proto (head, index, members,
// cursors, sent records, a user's chats and devices).
//
// Every write may be repeated, and come late or out of order, without harm:
// heads and cursors only grow, membership is applied version after version,
// the newest version of a user's chat wins. A hole is visible (the head does not
// pass it) and is filled from the log by the service. Losing all of it loses nothing.
package projection
