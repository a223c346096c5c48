package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/fair"
	"supmesh.dev/gateway/offset"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Service is one gateway.
type Service struct {
	cfg      Config
	host     *services.Host
	verifier *auth.Verifier
	limiter  *services.Limiter
	lanes    sync.Pool // idle ones
	events   map[string]*route
	features []string
	limits   proto.LimitTable
	metrics  metrics

	sockets   *wsconn.Engine
	engine    *engineio.Server
	messages  *socketio.Server
	admission *admission
	openings  *openings
	timers    *deadline.Queue
	leaving   leaving

	store       *store
	changes     subscription // to the changes of all chats
	announcer   *announcer
	asker       *asker
	lag         lag
	hub         *hub
	watched     *watchHub
	checks      *checks
	repairs     *repairs
	run         string // names this process among gateways, and those that had its INSTANCE_ID
	recheck     chan struct{}
	departed    departed
	drainWindow atomic.Int64  // nanoseconds over which a drain closes
	readers     chan struct{} // slots for backlog pages
	sealer      atomic.Pointer[sealer]

	writeTimeout time.Duration // of a websocket whose client does not read; 0: wsconn's default

	clientAddr, adminAddr chan string
	listening             atomic.Bool // /ready waits for it

	// ctx is the life of the connections, not of a call: it ends when the
	// last of them has been given its time to end.
	ctx    context.Context //nolint:containedctx // see above
	cancel context.CancelFunc
	mu     sync.Mutex
	ended  bool
	tasks  sync.WaitGroup // goroutines of connections
}

// New checks the configuration and puts the parts together. Nothing listens
// before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	svc := &Service{
		cfg: cfg, host: host, timers: deadline.New(timerGranularity), repairs: newRepairs(), run: randomID(),
		openings: newOpenings(maxOpening), recheck: make(chan struct{}, 1), readers: make(chan struct{}, backlogReaders),
		clientAddr: make(chan string, 1), adminAddr: make(chan string, 1),
	}
	host.OnReady("listeners", func(context.Context) services.Status {
		if !svc.listening.Load() {
			return services.StatusDown("not listening yet")
		}
		return services.StatusOK
	})
	svc.lag.svc, svc.announcer, svc.asker, svc.checks = svc, newAnnouncer(svc), newAsker(svc), newChecks(svc)
	svc.ctx, svc.cancel = context.WithCancel(context.Background())
	if err := svc.build(); err != nil {
		svc.cancel()
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return svc, nil
}

// routes is the event table: the catalogue says which service answers, and
// what stands here is answered by the gateway itself.
func (svc *Service) routes() (map[string]*route, error) {
	table, err := eventTable(proto.Endpoints, map[string]localHandler{
		proto.AuthRefresh.Event: svc.refresh,
		proto.JoinChat.Event:    svc.join,
		proto.JoinChats.Event:   svc.joinMultiple,
		proto.LeaveChat.Event:   svc.leave,
		proto.StartTyping.Event: svc.typing,
		proto.StopTyping.Event:  svc.stopTyping,

		proto.UpdatePresence.Event:      svc.updatePresence,
		proto.SubscribePresence.Event:   svc.subscribePresence,
		proto.UnsubscribePresence.Event: svc.unsubscribePresence,
	})
	if err == nil {
		svc.viewRoutes(table)
		callRoutes(table)
		table[proto.UnsubscribePresence.Event].service = table[proto.SubscribePresence.Event].service
	}
	return table, err
}

// Run serves clients until ctx ends, then moves them elsewhere (drain) and
// returns when everything has ended.
func (svc *Service) Run(ctx context.Context) (err error) {
	defer svc.cancel()
	if err = svc.host.EnsureStreams(ctx, svc.cfg.Provision, proto.Events); err != nil {
		return err
	}
	if svc.changes, err = svc.store.subscribe(proto.AllChatMeta); err != nil {
		return err
	}
	defer svc.changes.end()
	typists, err := svc.store.subscribe(svc.typingInbox())
	if err != nil {
		return err
	}
	defer typists.end()
	takeovers, err := svc.store.subscribe(svc.takeoverInbox())
	if err != nil {
		return err
	}
	defer takeovers.end()
	svc.host.OnReconnect(svc.recheckSoon)
	svc.host.OnSlowConsumer(svc.recheckOn)

	// Two groups, since connections need the loops until they have ended.
	loops, endLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer endLoops()
	edge, endEdge := context.WithCancel(context.WithoutCancel(ctx))
	defer endEdge()
	var parts, edges sync.WaitGroup
	svc.part(loops, &parts, "timers", svc.timers.Run)
	svc.part(loops, &parts, "fan-out", func(ctx context.Context) error { return svc.store.run(ctx, svc.live, svc.passing) })
	svc.part(loops, &parts, "announce", svc.announcer.run)
	svc.part(loops, &parts, "calls", svc.asker.run)
	svc.part(loops, &parts, "recheck", svc.recheckLoop)
	svc.part(loops, &parts, "log sweep", svc.sweepLog(ctx))
	svc.part(loops, &parts, "presence checks", svc.checks.run)
	for range checkWorkers {
		svc.part(loops, &parts, "presence check", svc.checks.work)
	}
	for range repairWorkers {
		svc.part(loops, &parts, "repair", svc.repairLoop)
	}
	svc.part(loops, &parts, "sockets", svc.sockets.Run)
	svc.part(loops, &parts, "socket.io", svc.messages.Run)
	svc.part(edge, &edges, "engine.io", svc.engine.Run)

	stopClients, err := svc.listenClients()
	if err != nil {
		return err
	}
	stopAdmin := func() {}
	if svc.cfg.AdminToken.Reveal() != "" {
		handler, err := svc.adminHandler()
		if err == nil {
			stopAdmin, err = svc.listen(svc.cfg.AdminHost, svc.cfg.AdminPort, handler, svc.adminAddr)
		}
		if err != nil {
			stopClients()
			return err
		}
	}
	svc.listening.Store(true)
	<-ctx.Done()

	// What happens at stop must not end with the context that asked for it.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), svc.drainBudget())
	svc.drain(drain)
	cancel()
	endEdge()
	stopAdmin()
	stopClients()
	edges.Wait()
	svc.endTasks()
	endLoops()
	parts.Wait()
	return nil
}

// drainBudget is how long a drain may take in all: the notice, the paced closes, and the
// longest deadline that a request may have.
func (svc *Service) drainBudget() time.Duration {
	var longest time.Duration
	for _, r := range svc.events {
		longest = max(longest, r.row.Timeout)
	}
	sessions := len(svc.hub.everyone())
	return svc.cfg.DrainNotice + time.Duration(sessions)*time.Second/time.Duration(svc.cfg.DrainRate) + longest + time.Second
}

// part runs a loop as a part of the host; wg waits for it.
func (svc *Service) part(ctx context.Context, wg *sync.WaitGroup, name string, fn func(context.Context) error) {
	wg.Add(1)
	if !svc.host.Go(name, func(context.Context) error { defer wg.Done(); return fn(ctx) }) {
		wg.Done()
	}
}

// spawn runs fn on a goroutine of a connection; false when it is too late for
// that. It is waited for at stop; a panic ends that one piece of work.
func (svc *Service) spawn(fn func(context.Context)) bool {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if svc.ended {
		return false
	}
	svc.tasks.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				svc.host.Log().Error("panic", "value", v, "stack", string(debug.Stack()))
			}
		}()
		fn(svc.ctx)
	})
	return true
}

// endTasks ends the goroutines of connections and waits for them.
func (svc *Service) endTasks() {
	svc.mu.Lock()
	svc.ended = true
	svc.mu.Unlock()
	svc.cancel()
	svc.tasks.Wait()
}

// sealer seals offsets into one log.
type sealer struct {
	*offset.Sealer
	epoch string
}

// checkEpoch notes which log is served from. When it is another than before,
// every position this gateway knows is void: all connections start anew.
func (svc *Service) checkEpoch(epoch string) error {
	was := svc.sealer.Load()
	if was != nil && was.epoch == epoch {
		return nil
	}
	s, err := offset.NewSealer(epoch)
	if err != nil {
		return err
	}
	if !svc.sealer.CompareAndSwap(was, &sealer{s, epoch}) {
		return svc.checkEpoch(epoch)
	}
	if was == nil {
		return nil
	}
	svc.host.Log().Error("the log has another epoch: all connections start anew")
	svc.hub.forgetPositions()
	svc.departed.forget()
	for _, s := range svc.hub.everyone() {
		s.close(proto.CloseDrain)
	}
	return errEpoch
}

func (svc *Service) build() (err error) {
	if err = svc.metrics.register(svc); err != nil {
		return err
	}
	svc.verifier, err = auth.New(svc.ctx, auth.Config{
		Secret: []byte(svc.cfg.JWTSecret.Reveal()), SecretMethods: svc.cfg.JWTAlgorithms,
		JWKSURL: svc.cfg.JWKSURL, JWKSMethods: svc.cfg.JWKSAlgorithms,
		Issuer: svc.cfg.JWTIssuer, Audience: svc.cfg.JWTAudience, MaxLifetime: svc.cfg.JWTMaxLifetime,
	})
	if err != nil {
		return err
	}
	if svc.events, err = svc.routes(); err != nil {
		return err
	}
	rules, err := parseLimits(svc.cfg.RateLimits, proto.Endpoints)
	if err != nil {
		return err
	}
	if svc.cfg.MaxConnections > 0 {
		rules[connectRule] = services.Rule{N: svc.cfg.MaxConnections, Per: millis(svc.cfg.ConnectionWindow)}
	}
	svc.features, svc.limits = features(svc.events), limitTable(rules)
	svc.limiter = svc.host.NewLimiter("u", rules)
	svc.lanes.New = newLane
	svc.store = newStore(svc.host)
	svc.hub = newHub(svc.store)
	svc.watched = newWatchHub(svc)
	trusted, err := parseProxies(svc.cfg.TrustedProxies)
	if err != nil {
		return err
	}
	svc.admission = &admission{
		bucket: fair.New(svc.cfg.AdmitRate), proxies: trusted, refused: svc.metrics.refused,
		mostPerAddress: svc.cfg.MaxPerAddress, connected: make(map[netip.Addr]int),
	}
	return svc.buildEdge()
}

func (svc *Service) buildEdge() (err error) {
	svc.sockets, err = wsconn.New(wsconn.Config{
		ReadLimit: int64(svc.cfg.MaxPayload), MaxQueueBytes: svc.cfg.MaxQueue, Poller: svc.cfg.Poller,
		MessageTimeout: svc.cfg.ReadTimeout, MessagePart: svc.cfg.readPart(), WriteTimeout: svc.writeTimeout,
	})
	if err != nil {
		return err
	}
	svc.messages = socketio.NewServer(socketio.Config{
		EventNames: svc.features, ConnectTimeout: svc.cfg.ConnectTimeout, DropAttachments: true,
	}, socketEdge{svc})
	svc.engine = engineio.NewServer(engineio.Config{
		Path: socketIOPath, PingInterval: millis(svc.cfg.PingInterval), PingTimeout: millis(svc.cfg.PingTimeout),
		MaxPayload: svc.cfg.MaxPayload, MaxQueueBytes: svc.cfg.MaxQueue,
		CheckOrigin: svc.allowOrigin, NewID: svc.newSID,
	}, svc.sockets, countedSessions{svc.messages, svc})
	svc.engine.SetRefuse(svc.admission.refuse)
	return nil
}
