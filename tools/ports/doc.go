// Package ports finds ports for the servers that tools start: one that nobody listens
// on, that no client is given by the kernel meanwhile, and that is given out once.
package ports
