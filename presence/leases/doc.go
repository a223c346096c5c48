// Package leases knows which gateways live: each is heard of every few seconds, and
// what one had that is heard of no more is handed out to be swept.
package leases
