// Package relations is who is related to whom: the contacts and blocks of each
// user, whole, in the newest entry of ev.user.<user>.rel, and in Redis what that
// entry says, laid out so that one field answers one question.
//
// An append names the entry it follows, so that of two writers neither undoes
// the other unseen. Redis is a cache for an hour: it takes an entry only over an
// older one of the same log, and can be lost at any time. Before an append it is
// told to forget soon: a crash between log and Redis is over within seconds.
package relations
