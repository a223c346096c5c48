package slowhttp

import (
	"fmt"
	"net/http"
	"time"
)

// writePart is what a peer has to take in each time-out, in bytes; wsconn asks the same of websockets.
const writePart = 16 << 10

// Write writes an answer's body in parts. Each of them, and then what is buffered, may take as long as timeout.
func Write(w http.ResponseWriter, body []byte, timeout time.Duration) error {
	control := http.NewResponseController(w)
	for len(body) > 0 {
		part := body[:min(len(body), writePart)]
		// Not every ResponseWriter has deadlines; those that have none are not of a network.
		_ = control.SetWriteDeadline(time.Now().Add(timeout))
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		body = body[len(part):]
	}
	_ = control.SetWriteDeadline(time.Now().Add(timeout))
	return nil
}
