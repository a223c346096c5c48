package slowhttp

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Rule is a least rate: in each Timeout the next Part bytes have to come, or the end if that is nearer.
type Rule struct {
	Timeout time.Duration
	Part    int // bytes
}

// Guard serves requests with next and holds their bodies to the rule. A read of a body that comes too slowly fails with
// os.ErrDeadlineExceeded. What next leaves unread has to come by the deadline that is set then, or the connection is closed.
// Requests without a body are not touched. The ResponseWriter must be able to set read deadlines, as net/http's own is.
func Guard(next http.Handler, rule Rule) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body, control: http.NewResponseController(w), rule: rule}
		b.arm()
		guarded := *r
		guarded.Body = b
		next.ServeHTTP(w, &guarded)
	})
}

// body is a request's body with a deadline for its next part.
type body struct {
	io.ReadCloser

	control *http.ResponseController
	rule    Rule
	missing int // of the part that is waited for
}

// arm starts to wait for a part.
func (b *body) arm() {
	b.missing = b.rule.Part
	b.set(time.Now().Add(b.rule.Timeout))
}

// set fails only on a connection that is closed, and then the next read fails too.
func (b *body) set(deadline time.Time) { _ = b.control.SetReadDeadline(deadline) }

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF): // from here on net/http watches for the end of the connection, however long the handler takes
		b.set(time.Time{})
	case err != nil: // the deadline stays: what is left of the body is not waited for
	default:
		if b.missing -= n; b.missing <= 0 {
			b.arm()
		}
	}
	return n, err //nolint:wrapcheck // io.EOF must stay bare
}
