package settings

import (
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/alecthomas/kong"

	"supmesh.dev/chat"
	"supmesh.dev/gateway"
	"supmesh.dev/notify"
	"supmesh.dev/presence"
	"supmesh.dev/reactions"
	"supmesh.dev/services"
	"supmesh.dev/signaling"
	"supmesh.dev/tools/sup/up"
)

// section is the settings of one struct, without those it shares.
type section struct {
	title, intro string
	rows         []row
}

// row is one setting as the page shows it.
type row struct {
	variable, flag string
	kind           string // type and unit
	preset         string // the default; "" for none
	help           string
	secret         bool
}

// sections is the page in its order.
func sections() ([]section, error) {
	shared, err := read(&services.Config{}, nil)
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	known := map[string]bool{}
	for _, r := range shared {
		known[r.variable] = true
	}
	out := []section{{"Every service", "The chassis: `services.Config`, part of every service's configuration.", shared}}
	for _, s := range []struct {
		title, intro string
		config       any
		shared       map[string]bool
	}{
		{"gateway", "`gateway.Config`. One of `JWT_SECRET` and `JWKS_URL` must be set.", &gateway.Config{}, known},
		{"chat", "`chat.Config`.", &chat.Config{}, known},
		{"presence", "`presence.Config`.", &presence.Config{}, known},
		{"signaling", "`signaling.Config`.", &signaling.Config{}, known},
		{"reactions", "`reactions.Config`: it has no setting of its own.", &reactions.Config{}, known},
		{"notify", "`notify.Config`. A provider of push without its settings is off.", &notify.Config{}, known},
		{"sup up", "`up.Config`: what `sup up` (`make run`) decides itself. It reads every variable above too; what it presets otherwise " +
			"stands in [tools/README.md](../tools/README.md).", &up.Config{}, nil},
	} {
		rows, err := read(s.config, s.shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.title, err)
		}
		out = append(out, section{s.title, s.intro, rows})
	}
	return out, nil
}

// read is the settings of config, a pointer to a struct of kong tags, but
// those whose variable is in without. The environment has no part in it.
func read(config any, without map[string]bool) ([]row, error) {
	parser, err := kong.New(config)
	if err != nil {
		return nil, fmt.Errorf("read %T: %w", config, err)
	}
	var rows []row
	for _, f := range parser.Model.Flags {
		switch {
		case f.Name == "help":
			continue
		case len(f.Envs) != 1:
			return nil, fmt.Errorf("--%s has %d environment variables, not one", f.Name, len(f.Envs))
		case f.Help == "":
			return nil, fmt.Errorf("%s has no help text", f.Envs[0])
		case without[f.Envs[0]]:
			continue
		}
		kind, err := kindOf(f.Target.Type(), f.Help)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Envs[0], err)
		}
		r := row{variable: f.Envs[0], flag: f.Name, kind: kind, preset: f.Default, help: f.Help}
		r.secret = f.Target.Type() == reflect.TypeFor[services.Secret]()
		if f.IsBool() && r.preset == "" {
			r.preset = "false"
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// unit is how a help text names the unit of a number.
var unit = regexp.MustCompile(`\b(ms|bytes|per second)\b`)

// kindOf says how a value is written and, of a number, in what unit.
func kindOf(t reflect.Type, help string) (string, error) {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration", nil
	case t == reflect.TypeFor[services.Secret]():
		return "secret", nil
	case t.Kind() == reflect.String:
		return "text", nil
	case t.Kind() == reflect.Bool:
		return "bool", nil
	case t == reflect.TypeFor[[]string]():
		return "list", nil
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		if u := unit.FindString(help); u != "" {
			return "number, " + u, nil
		}
		return "number", nil
	}
	return "", fmt.Errorf("no word for the type %s", t)
}
