// Package bench is the load tool of the mesh: it starts the system as separate
// processes on this machine, drives it with real clients over loopback and
// prints what it could do and what it cost.
//
// It owns the children it starts (redis-server, nats-server, chat, gateway, or
// a stock Socket.IO server to compare with), ends them by their process id and
// removes what they wrote.
//
// What a figure means:
//
//   - The schedule is open-loop: message i is due at start + i/rate, whatever
//     became of the messages before it. Every latency counts from that moment,
//     so a stalled server, or a stalled client, is seen in full (no coordinated
//     omission).
//   - Deliveries are counted at the receivers. Every connection keeps a ledger
//     of the seqs it saw, by delivery or by its own acks: one missing, repeated
//     or out of order fails the step.
//   - CPU is user plus system time of each process, from /proc, over the
//     measured window only; the client's own is shown next to the server's,
//     because it shares the same cores.
//
// The client reads with one epoll loop and looks at a few bytes of each frame;
// one message in a thousand is decoded in full and compared with what was sent.
package bench
