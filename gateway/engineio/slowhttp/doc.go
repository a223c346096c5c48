// Package slowhttp bounds how slowly a peer may send the body of an HTTP request or take an answer, and sets no fixed end:
// the time that either may take grows with its size.
//
// net/http has one deadline for a whole request, which cuts off a slow link that makes progress, and none for what it reads
// of a body after the handler has returned. Guard gives both a least rate.
package slowhttp
