// Package presence is the presence service: the registry of connections, how
// users are there, and who is told of it.
//
// It owns what Redis knows of connections, of a user's own status and of who has
// which chat open, and in the log the contacts and blocks of users. All but these
// may be lost: gateways tell it again, at a bounded rate.
//
// A change of what others see of a user is published once, by the instance whose
// write won, at most every 500 ms a user, and at most once: gateways ask again
// when they may have missed something. A connection that drops, or whose gateway
// dies, counts for a grace before anybody is told.
package presence
