// Package datadir owns the folder of a `sup up`: its lock, its secrets, the
// place of its stored log and the addresses it was last seen at.
//
// One process at a time holds the folder: a second one is refused, since two
// servers writing one log would spoil it. The lock ends with the process,
// however that ends. Secrets are made once, readable by their owner alone, and
// appear whole or not at all.
package datadir
