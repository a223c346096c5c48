// Package inbox matches replies to those who wait for them, over one
// subscription a connection. nats.go's own request mux costs more per request
// and gives one reply; a batched direct get gives many.
package inbox
