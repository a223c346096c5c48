// Package client is a chat client for a terminal, over the plain websocket
// profile: lines in, lines out.
//
// It owns one connection at a time and comes back by itself where the close
// code says so. A message stays pending until its ack and is sent again, with
// the same tempId, after a reconnect: the mesh stores it once. What has been
// shown is confirmed with message:delivered, so the device's queue on the
// server moves on. Text from others is shown without control characters.
package client
