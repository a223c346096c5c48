package echo

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/slowhttp"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/wsconn"
)

// Config of a server; zero values are the packages' own defaults.
type Config struct {
	Addr     string // default "127.0.0.1:0"
	EngineIO engineio.Config
	SocketIO socketio.Config
	Conn     wsconn.Config
}

// Server is a running echo server.
type Server struct {
	URL    string // http://host:port
	Engine *engineio.Server

	http *http.Server
	stop []func()
}

// Start listens and serves until Stop.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	sockets := socketio.NewServer(cfg.SocketIO, Handler{})
	return StartEngine(cfg, sockets, sockets.Run)
}

// StartEngine is Start for any Engine.IO handler; run, if not nil, is run beside it and stopped last.
func StartEngine(cfg Config, h engineio.Handler, run func(context.Context) error) (*Server, error) {
	conns, err := wsconn.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("set up websockets: %w", err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{URL: "http://" + listener.Addr().String(), Engine: engineio.NewServer(cfg.EngineIO, conns, h)}
	if run != nil {
		s.start(run)
	}
	s.start(conns.Run)
	s.start(s.Engine.Run)
	bodies := slowhttp.Rule{Timeout: 10 * time.Second, Part: 5 << 10}
	s.http = &http.Server{Handler: slowhttp.Guard(s.Engine, bodies), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // ends with http.ErrServerClosed at Stop
	return s, nil
}

// start runs one part; Stop ends the parts in the reverse order.
func (s *Server) start(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = run(ctx) }) // the parts only fail by being stopped
	s.stop = append(s.stop, func() {
		cancel()
		running.Wait()
	})
}

// Stop ends everything that Start began and waits for it.
func (s *Server) Stop() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
	_ = s.http.Close()
}

// Handler echoes. Its socket's user data is the auth object of its CONNECT.
type Handler struct{}

// Connect refuses whoever asks for it with {"refuse":true} or {"close":true}.
func (Handler) Connect(s *socketio.Socket, auth []byte) ([]byte, error) {
	switch string(auth) {
	case `{"refuse":true}`:
		return nil, &socketio.ConnectError{Message: "refused", Data: []byte(`{"code":"ASKED_FOR"}`)}
	case `{"close":true}`:
		return nil, socketio.ErrCloseTransport
	case "":
		auth = []byte("{}")
	}
	s.SetUserData(bytes.Clone(auth))
	return nil, nil
}

// Connected tells the client its own auth object, as the published test suite expects.
func (Handler) Connected(s *socketio.Socket) {
	_ = s.Emit("auth", s.UserData().([]byte)) // a socket that is gone reports itself
}

// Event answers; an error means that the socket is gone, which Disconnected reports.
func (Handler) Event(s *socketio.Socket, e socketio.Event) {
	switch e.Name {
	case "message":
		_ = s.Emit("message-back", e.Args, e.Attachments...)
	case "message-with-ack":
		_ = s.SendAck(e.AckID, e.Args, e.Attachments...)
	case "ask-me":
		_, _ = s.EmitWithAck("question", e.Args, 300*time.Millisecond, e.Attachments...)
	case "never-ack":
	case "kick":
		s.Disconnect(false)
	case "drop":
		s.Disconnect(true)
	default:
		_ = s.Emit("unknown", []byte(`{"name":"`+e.Name+`"}`))
	}
}

// Ack tells the client what it has acked.
func (Handler) Ack(s *socketio.Socket, a socketio.Ack) {
	if a.Err != nil {
		_ = s.Emit("answer-missing", nil)
		return
	}
	_ = s.Emit("answer-was", a.Args, a.Attachments...)
}

// Disconnected has nothing to clean up.
func (Handler) Disconnected(*socketio.Socket, socketio.Reason) {}
