package gateway

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/proto"
)

// admission decides whether a new connection is taken at all, before anything
// is done about its token: a storm of returning clients must cost little.
type admission struct {
	bucket   *rate.Limiter
	draining atomic.Bool
	refused  func()
}

func newAdmission(perSecond int, refused func()) *admission {
	return &admission{bucket: rate.NewLimiter(rate.Limit(perSecond), perSecond), refused: refused}
}

// refuse says whether a new connection is to be turned away, and when to come
// back. The time is spread, so that those turned away do not come back at once.
func (a *admission) refuse() (retryAfter time.Duration, refused bool) {
	if !a.draining.Load() && a.bucket.Allow() {
		return 0, false
	}
	a.refused()
	return time.Second + rand.N(4*time.Second), true
}

// refusal is refuse in the words of engineio.
func (a *admission) refusal(*http.Request) *engineio.Refusal {
	wait, refused := a.refuse()
	if !refused {
		return nil
	}
	return &engineio.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: wait}
}

// turnAway answers 503.
func turnAway(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// allowOrigin says whether a web page of this origin may connect. A request
// without an Origin does not come from a web page.
func (svc *Service) allowOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || svc.cfg.anyOrigin() || slices.Contains(svc.cfg.CORSOrigin, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// tokenError is a refused token as an ack shows it.
func tokenError(err error) error {
	var r *auth.Refusal
	if errors.As(err, &r) {
		return r.Proto()
	}
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "tokens cannot be checked now", RetryAfter: time.Second}
}
