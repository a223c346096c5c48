// Package board holds who has put which reaction on which message: in Redis, as of
// an entry of the log, and made again from the log where Redis has lost it.
package board
