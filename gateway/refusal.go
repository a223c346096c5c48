package gateway

import (
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
)

// refusal is the reason for which a client is not let in: the label of gateway_refused_total. The
// label is one of these, or the error code of a refused token.
type refusal string

const (
	refusedDrain       refusal = "drain"            // 503: this gateway stops
	refusedRate        refusal = "admission"        // 503: over ADMIT_RATE
	refusedShare       refusal = "address share"    // 503: one address over its share of ADMIT_RATE
	refusedAddress     refusal = "address bound"    // 503: over MAX_CONNECTIONS_PER_ADDRESS
	refusedOrigin      refusal = "origin"           // 403
	refusedUserRate    refusal = "user rate"        // over RATE_LIMIT_MAX_CONNECTIONS
	refusedUserBound   refusal = "user bound"       // over MAX_CONNECTIONS_PER_USER
	refusedAuthLate    refusal = "auth deadline"    // AUTH_TIMEOUT
	refusedConnectLate refusal = "connect deadline" // CONNECT_TIMEOUT
	refusedUnavailable refusal = "unavailable"      // a service that a connection needs does not answer
)

// countedSessions is the engineio.Handler that counts the sessions of each client address.
type countedSessions struct {
	engineio.Handler
	svc *Service
}

// Open implements engineio.Handler.
func (c countedSessions) Open(s *engineio.Session) {
	if from, known := s.Ticket().(clientAddr); known {
		c.svc.admission.count(from, 1)
	}
	c.Handler.Open(s)
}

// Closed implements engineio.Handler.
func (c countedSessions) Closed(s *engineio.Session, reason engineio.Reason) {
	if from, known := s.Ticket().(clientAddr); known {
		c.svc.admission.count(from, -1)
	}
	if reason == socketio.ReasonConnectTimeout {
		c.svc.metrics.refused(refusedConnectLate)
	}
	c.Handler.Closed(s, reason)
}
