package gateway

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/fair"
	"supmesh.dev/proto"
)

// admission decides whether a handshake is accepted, before any work on its token: a storm of
// returning clients must cost little, and one address must not shut out the others. Its answer is
// immediate: a refused handshake gets 503 and its socket is closed.
type admission struct {
	bucket   *fair.Bucket
	proxies  proxies
	draining atomic.Bool
	refused  func(refusal)

	mostPerAddress int // connections of one known client address; 0: any number
	mu             sync.Mutex
	connected      map[netip.Addr]int // connections by known client address
}

// admit decides about one handshake. If retryAfter is 0 it is accepted, and from is where it came
// from. retryAfter is spread, so that refused clients do not return at the same time.
func (a *admission) admit(r *http.Request) (from clientAddr, retryAfter time.Duration) {
	from = a.proxies.clientOf(r)
	reason := a.judge(from)
	if reason == "" {
		return from, 0
	}
	a.refused(reason)
	return from, time.Second + rand.N(4*time.Second)
}

// judge returns why a handshake is refused, "" if it is accepted. Requests behind an unknown proxy
// share that proxy's tokens. The bound on connections of one address does not apply to them.
func (a *admission) judge(from clientAddr) refusal {
	if a.draining.Load() {
		return refusedDrain
	}
	if from.known && a.isFull(from.key) {
		return refusedAddress
	}
	switch a.bucket.Take(from.key, time.Now()) {
	case fair.Empty:
		return refusedRate
	case fair.OverShare:
		return refusedShare
	case fair.Granted:
	}
	return ""
}

func (a *admission) isFull(addr netip.Addr) bool {
	if a.mostPerAddress == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected[addr] >= a.mostPerAddress
}

// count adds n connections, which may be negative, to those of an address. Handshakes that are
// under way at the same time are not counted yet, so the bound may be exceeded by their number.
func (a *admission) count(from clientAddr, n int) {
	if a.mostPerAddress == 0 || !from.known {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.connected[from.key] += n; a.connected[from.key] == 0 {
		delete(a.connected, from.key)
	}
}

// refuse is admit for engineio. The ticket is the clientAddr.
func (a *admission) refuse(r *http.Request) (ticket any, refused *engineio.Refusal) {
	from, wait := a.admit(r)
	switch {
	case wait > 0:
		return nil, &engineio.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: wait}
	case from.known:
		return from, nil
	}
	return nil, nil
}

// turnAway answers 503 and has the socket closed.
func turnAway(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	w.Header().Set("Connection", "close")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// allowOrigin says whether a web page of this origin may connect. A request
// without an Origin does not come from a web page.
func (svc *Service) allowOrigin(r *http.Request) bool {
	allowed := svc.isAllowedOrigin(r)
	if !allowed {
		svc.metrics.refused(refusedOrigin)
	}
	return allowed
}

func (svc *Service) isAllowedOrigin(r *http.Request) bool {
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
