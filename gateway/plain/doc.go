// Package plain is the codec of the plain websocket profile (CONTRACT §2): one
// JSON object a text frame. It splits what clients send without decoding their
// payload, and builds what they receive from payloads that are JSON already.
package plain
