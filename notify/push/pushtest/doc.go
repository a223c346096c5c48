// Package pushtest is the conformance suite of push providers: every one must pass
// it. It runs a provider against a stub of its service, and names every HTTP status.
package pushtest
