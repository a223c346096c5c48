// Package viewing keeps who has which chat open, by session: a user views a chat as
// long as one of their sessions does.
package viewing
