package chat

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Service is the chat service. It is made by New and run by its host.
type Service struct {
	cfg    Config
	host   *services.Host
	log    *eventlog.Log
	state  *projection.Store
	roster atomic.Pointer[roster.Store] // of the log's epoch; set before the gate opens
	epoch  atomic.Pointer[string]
	gate   *gate

	revisions *revisions.Store

	chats    *lru[*chatState]
	receipts *lru[*receiptState]
	said     saidCache
	tidings  *tidings
	metrics  metrics

	sentReads *sentReads

	// project hands a stored message to the projection. A test puts a crash here.
	project func(projection.Stored, func(read uint64, ok bool, err error))
	// beforeAppend is where a test has the world change between a send's checks
	// and its append; nil otherwise.
	beforeAppend func()
}

// New prepares the service on a host and registers its routes. Nothing is asked
// of NATS or Redis before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	if host.Redis() == nil {
		return nil, errors.New("chat: REDIS_URL must not be empty")
	}
	log, err := eventlog.Open(host.NATS(), host.CatchUp())
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	s := &Service{
		cfg: cfg, host: host, log: log, state: projection.New(host.Redis()),
		gate: newGate("chat is starting"),

		revisions: revisions.New(host.Redis()),
		chats:     newLRU[*chatState](cfg.CachedChats),
		receipts:  newLRU[*receiptState](cfg.CachedChats),
		tidings:   newTidings(),
		sentReads: newSentReads(),
	}
	s.project = s.projectStored
	if err := s.metrics.register(host.Metrics()); err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	host.OnReady("chat state", s.readiness)
	host.Serve(s.routes()...)
	return s, nil
}

// maxReceipts is how many receipts of a kind may wait: about what is stored of
// them before the first of them is too late. A chat of ten thousand sends that
// many at once when its message comes.
const maxReceipts = 16 << 10

func (s *Service) routes() []services.Route {
	return []services.Route{
		services.On(sendEndpoint, s.send, services.KeyBy(func(r *proto.SendMessageReq) string { return r.ChatID }), services.Workers(s.cfg.SendWorkers), services.MaxPending(8*s.cfg.SendWorkers)),
		services.On(proto.MarkDelivered, s.delivered, services.MaxPending(maxReceipts)),
		services.On(proto.MarkRead, s.read, services.MaxPending(maxReceipts)),
		services.On(proto.History, s.history, services.Unordered()),
		services.On(proto.SyncPull, s.sync, services.Unordered()),
		services.On(proto.EditMessage, s.edit, services.KeyBy(func(r *proto.EditReq) string { return r.ChatID })),
		services.On(proto.DeleteMessage, s.deleteMessage, services.KeyBy(func(r *proto.DeleteReq) string { return r.ChatID })),
		services.On(proto.JoinChat, s.join),
		services.On(proto.JoinChats, s.joinMultiple),
		services.On(proto.ActiveMembers, s.activeMembers, services.Unordered()),

		services.On(proto.OpenDevice, s.open, services.Unordered()),
		services.On(proto.Backlog, s.backlog, services.Unordered()),
		services.On(proto.SharedChats, s.sharedChats, services.Unordered()),
		services.On(proto.MembersAmong, s.membersAmong, services.Unordered()),
		services.On(proto.FindMessage, s.find, services.Unordered()),
		services.On(proto.UnreachedMembers, s.unreached, services.Unordered()),

		services.On(proto.PutChat, s.putChat, services.KeyBy(func(r *proto.PutChatReq) string { return r.ChatID })),
		services.On(proto.PatchChat, s.patchChat, services.KeyBy(func(r *proto.PutChatReq) string { return r.ChatID })),
		services.On(proto.GetChat, s.getChat, services.Unordered()),
		services.On(proto.AddMembers, s.addMembers, services.KeyBy(func(r *proto.AddMembersReq) string { return r.ChatID })),
		services.On(proto.RemoveMember, s.removeMember, services.KeyBy(func(r *proto.RemoveMemberReq) string { return r.ChatID })),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the streams,
// brings the working state up to the log and keeps it there.
func (s *Service) Run(ctx context.Context) error {
	defer s.log.Close()
	for i, lane := range s.state.Lanes() {
		s.host.Go(fmt.Sprintf("redis lane %d", i), lane)
	}
	s.host.Go("tidings", s.tellTidings)
	for i := range sentReadWorkers {
		s.host.Go(fmt.Sprintf("reads by sending %d", i), s.tellSentReads)
	}
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Streams...); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.host.Canary(proto.Receipts, proto.CanaryLog("chat"))
	s.host.Work(proto.ExpireMessages, s.expire)
	err := s.follow(ctx)
	if ctx.Err() != nil {
		s.drainSentReads(ctx)
	}
	return err
}

func (s *Service) readiness(context.Context) services.Status {
	if open, why := s.gate.state(); !open {
		return services.StatusDegraded("%s", why)
	}
	return services.StatusOK
}

// chatOf is what is remembered of a chat, and the chat's token.
func (s *Service) chatOf(chatID string) (*chatState, error) {
	token, err := proto.EncodeID(chatID)
	if err != nil {
		return nil, proto.FieldError("chatId", err)
	}
	return s.chats.get(string(token), func() *chatState {
		return &chatState{id: chatID, token: token, keys: projection.KeysOf(token), subject: proto.ChatLog(token, proto.KindMessage), all: proto.ChatLogAll(token)}
	}), nil
}
