// Package eventlog is the one reader of the log: the streams EVENTS and RECEIPTS.
//
// Any replica answers a direct get, and a replica may be behind the leader. What a
// replica does not have is therefore never taken for absent:
//
//   - Get reads entries at positions that are known to be stored. An entry that a
//     replica does not have is read from the leader. Entry.Position is 0 only when the
//     leader, being at or beyond that position, says that the entry is deleted.
//   - Page reads the entries of a subject in order. The end of a page counts only
//     when the leader confirms it, or when it reaches a position that the caller names.
//   - LastOfEach and LastOfChat are as of a position. A replica behind it is asked again, and
//     in the end the leader is.
//   - Last, At, Next and Head always ask the leader.
//
// A leader that does not answer is ErrUnavailable, which callers may retry. Reads
// that a current replica answers in full cost one round trip and never ask the leader.
// Nothing is cached. The rules of direct gets are NATS ADR-31.
package eventlog
