// Package mint makes access tokens for people who try the mesh out: the same
// claims, signed with the same key, as an application's own backend makes.
//
// It is a tool. A mesh in production gets its tokens from elsewhere and only
// verifies them.
package mint
