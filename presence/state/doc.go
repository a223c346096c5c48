// Package state is the rules of presence: what a user's record becomes with each
// thing that happens, what others see of it, and when it must be looked at again.
//
// It is pure: time is a parameter, in Unix milliseconds, and nothing is stored or
// sent here. Whoever keeps a Record must replace it only where it is still the one
// that was read.
package state
