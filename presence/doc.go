// Package presence is the presence service: who is here, on which connections,
// and who may see it.
//
// It owns the log subjects ev.user.<user>.rel, the contacts and blocks of each
// user, and presence's keys of Redis. Relations are acked only after the log has
// stored them, and count for every instance from then on.
package presence
