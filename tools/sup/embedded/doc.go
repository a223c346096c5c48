// Package embedded runs what the mesh stands on inside this process: a NATS
// server with JetStream on files, and a Redis in memory.
//
// NATS keeps what it has stored through a kill -9; a power cut may lose the
// last two minutes (durability class best-effort). Redis keeps nothing: the
// services make it again from the log. Both listen on loopback only, since
// neither asks for a password.
package embedded
