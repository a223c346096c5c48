// Package embedded runs what the mesh stands on inside this process: a NATS
// server with JetStream on files, a Redis in memory, and a TURN server.
//
// NATS keeps what it has stored through a kill -9; a power cut may lose the
// last two minutes (durability class best-effort). Redis keeps nothing: the
// services make it again from the log. Both listen on loopback only, since
// neither asks for a password. So does the TURN server, which relays to
// loopback alone; it asks for a credential, as a real one would.
package embedded
