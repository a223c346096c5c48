// Package revisions is what became of messages after they were sent, in Redis:
// of each message that was edited or deleted the position of its newest entry
// in the edit log, and of each user what the user has hidden.
//
// Both follow from the log. The edits of a chat are applied entry after entry
// and say how far they are, so that a reader sees when they are behind. What a
// user has hidden is only ever added to; a mark says that all of it is here,
// and is taken back by nothing but the loss of Redis. Losing all of it loses nothing.
package revisions
