// Package signaling is the signaling service: it owns calls. It rings devices,
// lets the first answer win, passes descriptions and candidates on, and ends what
// nobody answers or holds any more. See ../DECISIONS.md and README.md.
package signaling
