// Package reactions is the reactions service: who has put which emoji on which
// message. It is the smallest of the services and the one to copy.
package reactions
