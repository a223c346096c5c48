// Package decide holds the rules of who is notified of what, and what is pushed
// to whom: pure functions of an entry of the log and of what is known of users.
//
// Nobody is notified of what they did themselves. A muted chat pushes nothing but
// mentions and replies; do-not-disturb nothing but calls; who is busy hears no
// sound. Nothing of what is encrypted is in any of it.
package decide
