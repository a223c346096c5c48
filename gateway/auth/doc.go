// Package auth decides who a client is: it verifies the access token of
// CONTRACT §3 and says, in the words existing apps match on, why one is refused.
//
// It owns the keys. Exactly the configured algorithms are accepted, each only
// with a key of its own kind; there is no built-in secret, and without a key
// there is no Verifier. It never does I/O on NATS or Redis, and a token is
// never part of an error or a log line.
package auth
