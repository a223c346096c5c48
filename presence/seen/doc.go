// Package seen keeps when users were last seen, for the day when Redis is lost: one entry
// a user in the stream RECEIPTS, replaced by the next. An entry says that the user has left
// at a moment, or that the user is there since one. How long a user was there of whom the
// registry knows nothing any more follows from the registry's lives: each begins with an
// empty Redis, and the keeper notes twice a minute that it goes on.
//
// Last seen is right to within a minute: an entry that would move it by less is not written.
package seen
