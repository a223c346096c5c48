package notify

import (
	"context"
	"slices"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// defaultDevice stands for a connection that named no device.
const defaultDevice = "default"

func deviceOf(who *services.Caller) string {
	if who.Actor.Device == "" {
		return defaultDevice
	}
	return who.Actor.Device
}

// register has the device pushed to from now on.
func (s *Service) register(ctx context.Context, req proto.RegisterDeviceReq) (proto.RegisterDeviceRes, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return proto.RegisterDeviceRes{}, err
	}
	if err := s.checkRegistration(&req); err != nil {
		return proto.RegisterDeviceRes{}, err
	}
	r := registry.Registration{
		DeviceID: deviceOf(&who), Provider: req.Provider, Token: req.Token, P256DH: req.P256DH, Auth: req.Auth, VoIP: req.VoIP, At: proto.At(s.host.Now()),
	}
	_, err = s.registry.Change(ctx, who.User, who.Traceparent(), func(st *registry.State) (bool, error) {
		st.At(s.host.Now())
		return st.Register(&r), nil
	})
	return proto.RegisterDeviceRes{DeviceID: r.DeviceID, Provider: r.Provider}, unavailable(err)
}

// checkRegistration asks the provider whether it could ever push there.
func (s *Service) checkRegistration(req *proto.RegisterDeviceReq) error {
	at := slices.IndexFunc(s.providers, func(p push.Provider) bool { return p.Name() == req.Provider })
	if at < 0 {
		return &proto.Error{Code: proto.PermissionDenied, Field: "provider", Message: "this provider is not set up here"}
	}
	if req.VoIP && req.Provider != proto.PushAPNs {
		return &proto.Error{Code: proto.InvalidPayload, Field: "voip", Message: "voip is for apns alone"}
	}
	if c, ok := s.providers[at].(push.Checker); ok {
		if err := c.Check(push.Registration{Token: req.Token, P256DH: req.P256DH, Auth: req.Auth, VoIP: req.VoIP}); err != nil {
			return &proto.Error{Code: proto.InvalidPayload, Field: "token", Message: "token cannot be pushed to: " + err.Error()}
		}
	}
	return nil
}

// unregister has the device pushed to no more.
func (s *Service) unregister(ctx context.Context, req proto.UnregisterDeviceReq) (proto.UnregisterDeviceRes, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return proto.UnregisterDeviceRes{}, err
	}
	removed := 0
	_, err = s.registry.Change(ctx, who.User, who.Traceparent(), func(st *registry.State) (bool, error) {
		st.At(s.host.Now())
		removed = st.Unregister(deviceOf(&who), req.Provider)
		return removed > 0, nil
	})
	return proto.UnregisterDeviceRes{Removed: removed}, unavailable(err)
}

// pushConfig is what an app needs to register.
func (s *Service) pushConfig(context.Context, proto.PushConfigReq) (proto.PushConfigRes, error) {
	res := proto.PushConfigRes{Providers: []proto.PushProvider{}, VAPIDPublicKey: s.vapid}
	for _, p := range s.providers {
		res.Providers = append(res.Providers, p.Name())
	}
	return res, nil
}
