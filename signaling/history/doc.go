// Package history is each user's calls: the log ev.user.<user>.calls, an entry
// when a call begins for the user and one at each change, and in Redis the
// newest 1,000 calls of it, laid out for pages.
//
// The log is what counts. Redis says up to which position of which log it has a
// user's calls; whoever reads a page compares that with the log's leader and
// first reads what is missing. So a crash or a lost write between the two, a
// flush, and a log made anew are all healed by the next who looks. While the log
// does not answer, Redis's word stands if it was whole once. A record gives way
// only to a newer one: by how far the call is, then by position.
package history
