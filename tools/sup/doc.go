// Command sup is the mesh in one program, and the tools around it.
//
//	sup up       the whole mesh in one process, for trying out and for tests
//	sup token    an access token
//	sup client   a chat client for the terminal
//	sup chat     chats and members, through the admin HTTP side
//	sup presence how a user is there, asked over NATS
//	sup call     how a call is, or how it ended, asked over NATS
//	sup dlq      jobs that could not be done: list, replay, drop
//	sup health   how a running mesh does
//
// `up` holds one data folder; what it acked is there after a kill -9. It is
// not for production: NATS is a single node that syncs every two minutes, and
// everyone who reaches the console's loopback port gets a token.
package main
