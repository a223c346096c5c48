// Package up runs the whole mesh in one process, on chassis hosts as if each
// service had its own.
//
// Layers start from the bottom (NATS, Redis, TURN, chat) to the top (gateway,
// console) and end in the reverse order, each after the one above has let go:
// no request of a client is cut off by a service that has already left. What a
// client got an ack for is in the data folder, also after a kill -9; Redis is
// in memory and made again from the log.
package up
