// Package registry keeps presence's state in Redis: the record of each user, the
// record of each session, which gateways live and what each of them has, whose
// record is to be looked at when.
//
// Nothing here is an event: every write states what is so, and repeating it changes
// nothing. A user's record is replaced only where it is still what was read; the
// rules of it are package state's. Where two keys are written, the one by which a
// crash in between is found again comes first.
package registry
