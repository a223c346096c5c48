package up

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"supmesh.dev/chat"
	"supmesh.dev/gateway"
	"supmesh.dev/notify"
	"supmesh.dev/presence"
	"supmesh.dev/reactions"
	"supmesh.dev/services"
	"supmesh.dev/signaling"
	"supmesh.dev/tools/console"
	"supmesh.dev/tools/sup/datadir"
)

// Config is what `sup up` decides itself. Every other setting of the services
// is read from the environment as usual.
type Config struct {
	DataDir     string `name:"data-dir" env:"DATA_DIR" default:"./data" type:"path" help:"Folder of the log, the secrets and the lock."`
	ConsolePort int    `name:"console-port" env:"CONSOLE_PORT" default:"8080" help:"Port of the console page, on loopback; -1 for no console."`
	NATSPort    int    `name:"nats-port" env:"NATS_PORT" default:"0" help:"Loopback port of the embedded NATS server, for tools; 0 for any free one."`
	TURNPort    int    `name:"turn-port" env:"TURN_PORT" default:"0" help:"Loopback port of the embedded TURN server, UDP and TCP; 0 for any free one, -1 for none. ICE_URLS takes its place."`
	LogLevel    string `name:"log-level" env:"LOG_LEVEL" default:"warn" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
}

// settings are the services' configurations, and what had to be made for them.
type settings struct {
	chat      chat.Config
	presence  presence.Config
	signaling signaling.Config
	reactions reactions.Config
	notify    notify.Config
	gateway   gateway.Config
	made      []datadir.File // secrets that did not exist before
}

// given says whether a setting stands in the environment.
func given(variable string) bool {
	return os.Getenv(variable) != "" || os.Getenv(variable+"_FILE") != ""
}

// load reads the services' settings. Defaults differ from a real deployment in
// what makes one command enough: secrets of the data folder, loopback only,
// streams made at start, chats open to all, the console's origin let in.
func load(cfg Config, dir *datadir.Dir, g *ground, consolePort int) (*settings, error) {
	s := &settings{}
	all := []string{"--provision", "--log-level=" + cfg.LogLevel}
	if g.nats != nil {
		all = append(all, "--nats-url="+g.nats.URL())
	}
	if g.redis != nil {
		all = append(all, "--redis-url="+g.redis.URL())
	}
	all = append(all, unlessGiven("METRICS_HOST", "--metrics-host=127.0.0.1")...)

	chatArgs := append([]string{}, all...)
	chatArgs = append(chatArgs, unlessGiven("CHAT_POLICY", "--chat-policy="+chat.PolicyOpen)...)
	if err := services.Load(&s.chat, chatArgs); err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}

	if err := services.Load(&s.presence, all); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}

	calls := append([]string{}, all...)
	if g.turn != nil {
		secret, err := s.secret(dir, "TURN_SECRET", "--turn-secret=", datadir.TURNSecret)
		if err != nil {
			return nil, err
		}
		calls = append(append(calls, "--ice-urls="+strings.Join(g.turn.URLs(), ",")), secret...)
	}
	if err := services.Load(&s.signaling, calls); err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}

	if err := services.Load(&s.reactions, all); err != nil {
		return nil, fmt.Errorf("reactions: %w", err)
	}

	pushes, err := s.secret(dir, "VAPID_PRIVATE_KEY", "--vapid-private-key=", datadir.VAPIDKey)
	if err != nil {
		return nil, err
	}
	pushes = append(append(pushes, all...), unlessGiven("VAPID_SUBJECT", "--vapid-subject=mailto:operator@example.com")...)
	if err := services.Load(&s.notify, pushes); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}

	edge := append([]string{}, all...)
	edge = append(edge, unlessGiven("HOST", "--host=127.0.0.1")...)
	edge = append(edge, unlessGiven("ADMIN_HOST", "--admin-host=127.0.0.1")...)
	if consolePort > 0 {
		origins := console.Origins(consolePort)
		if own := os.Getenv("CORS_ORIGIN"); own != "" {
			origins = append(origins, own)
		}
		edge = append(edge, "--cors-origin="+strings.Join(origins, ","))
	}
	for _, secret := range []struct {
		variable, flag string
		file           datadir.File
		instead        string
	}{
		{"JWT_SECRET", "--jwt-secret=", datadir.JWTSecret, "JWKS_URL"},
		{"ADMIN_TOKEN", "--admin-token=", datadir.AdminToken, ""},
	} {
		if secret.instead != "" && given(secret.instead) {
			continue
		}
		flag, err := s.secret(dir, secret.variable, secret.flag, secret.file)
		if err != nil {
			return nil, err
		}
		edge = append(edge, flag...)
	}
	if err := services.Load(&s.gateway, edge); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if s.gateway.Production || s.chat.Production || s.presence.Production || s.signaling.Production || s.reactions.Production || s.notify.Production {
		return nil, errors.New("PRODUCTION is set: run the services on their own, `sup up` is for trying out")
	}
	return s, nil
}

// secret is the flag for a secret of the data folder; none where the environment
// has one.
func (s *settings) secret(dir *datadir.Dir, variable, flag string, file datadir.File) ([]string, error) {
	if given(variable) {
		return nil, nil
	}
	value, made, err := dir.Secret(file)
	if err != nil {
		return nil, err
	}
	if made {
		s.made = append(s.made, file)
	}
	return []string{flag + value}, nil
}

func unlessGiven(variable, flag string) []string {
	if given(variable) {
		return nil
	}
	return []string{flag}
}
