// Package catchup holds the two state machines that make "never lost, never
// twice, in order" out of live copies that may be late, doubled or missing.
//
// Track follows one subject of the log at one gateway: live copies by
// position, each naming the one before it, and reads of the log that fill a
// hole. Owed follows one chat for one connection that is behind: pages of
// messages by their dense seq, until it may go over to live frames.
//
// Both are pure: no clock, no I/O, no locks. Memory is bounded whatever
// happens, because what cannot be delivered now is never kept: only its number
// is, and the log has the rest. Callers hold a lock around every call.
package catchup
