// Package deliver works on the queue of pushes: each is tried until its provider has
// it, it is replaced by a newer one, it expires, or it can never be done.
//
// A push is sent at least once, with the same id on every try, and in no promised
// order; one that is older than another under its collapse key is not sent any more.
// A try that fails comes again after a growing pause, at most an hour, not before the
// moment that the provider names. While a server is down its breaker is open: what
// waits for it then waits without a try. A registration that its provider calls gone
// is removed. What can never be done is a dead letter with the reason.
//
// A crash loses nothing: what was under way is tried again after six seconds, and a
// registration is removed only behind the dead letter of the push that found it gone.
package deliver
