// Package e2e holds the end-to-end tests: the mesh as people run it, driven by
// the stock socket.io-client from npm, plain websockets and a browser. The
// numbers in test names' comments are those of the edge list each one shows.
package e2e
