// Package deadline expires many things with one timer.
//
// A Queue owns an indexed heap of entries and the single goroutine that serves them. A gateway holds one entry per
// connection here instead of one runtime timer per connection: an entry costs 40 bytes, and entries that fall due
// within the queue's granularity share a wake-up.
//
// Guarantees: an entry expires at most once for each Set, never early, and late by at most the granularity plus the time
// that other entries' Expire calls take. Nothing expires once Run has returned.
package deadline
