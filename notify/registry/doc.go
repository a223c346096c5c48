// Package registry keeps the push devices of users and what is not to disturb
// them: the newest entry of ev.user.<user>.push is all of it, Redis has it for a while.
package registry
