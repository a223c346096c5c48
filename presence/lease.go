package presence

import (
	"context"

	"supmesh.dev/proto"
)

// lease notes that a gateway lives.
func (s *Service) lease(ctx context.Context, req proto.LeaseReq) (proto.LeaseRes, error) {
	gateway, err := proto.EncodeID(req.Gateway)
	if err != nil {
		return proto.LeaseRes{}, proto.FieldError("gateway", err)
	}
	switch {
	case req.End:
		return proto.LeaseRes{}, unavailable(s.leases.End(ctx, gateway))
	case req.Begin:
		return proto.LeaseRes{Known: true}, unavailable(s.leases.Begin(ctx, gateway, s.now()))
	}
	known, swept, err := s.leases.Renew(ctx, gateway, s.now())
	return proto.LeaseRes{Known: known, Swept: swept}, unavailable(err)
}
