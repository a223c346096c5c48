// Package echo is a Socket.IO server made of engineio, socketio and wsconn alone. It shows that those packages know nothing
// of messaging, and it is what the conformance tests talk to. Its events are the ones that the published test suite of
// protocol v5 expects, and a few that let a client order the server about.
package echo
