// Package auth verifies access tokens (CONTRACT §3) and returns who they stand for. A
// refusal carries the words that existing apps match on.
//
// It owns the keys. Exactly the configured algorithms are accepted, each only with a key
// of its own kind. There is no built-in secret, and without a key there is no Verifier.
// Header and claims are read like all other input: exact names, each once, nothing of a
// claim before the signature is verified. The package does no I/O on NATS or Redis, and
// a token is never part of an error or a log line.
package auth
