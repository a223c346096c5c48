package auth

import "supmesh.dev/proto"

// Refusal is why a token is not good. Message is what existing apps match on
// (CONTRACT §1); Detail is for the log and holds nothing of the token.
type Refusal struct {
	Code    proto.Code
	Message string
	Detail  string
}

// Error is the text for logs.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Message
	}
	return r.Message + ": " + r.Detail
}

// Proto is the refusal as clients see it.
func (r *Refusal) Proto() *proto.Error { return &proto.Error{Code: r.Code, Message: r.Message} }

func missing() *Refusal {
	return &Refusal{Code: proto.AuthenticationRequired, Message: "Authentication required"}
}

func invalid(detail string) *Refusal {
	return &Refusal{Code: proto.InvalidToken, Message: "Invalid token", Detail: detail}
}

func expired() *Refusal {
	return &Refusal{Code: proto.TokenExpired, Message: "Invalid token", Detail: "expired"}
}

func badPayload(detail string) *Refusal {
	return &Refusal{Code: proto.InvalidToken, Message: "Invalid token payload", Detail: detail}
}
