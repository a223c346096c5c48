// Package typing is who types where, as rules without clocks, locks or
// connections: a Board is what one gateway shows of one chat, Typists are those
// of one chat whose sockets are on this gateway.
//
// What it promises: an indicator is shown for For after its last renewal and
// then ended exactly once; at most MaxShown are shown of a chat, and at most
// MaxShown typists of a chat are told by one gateway, each at most every Every.
// The caller serializes calls and gives the time.
package typing
