// Package reference writes API.md, the page people read: every request, event,
// field, bound, limit and code, each with an example.
package reference
