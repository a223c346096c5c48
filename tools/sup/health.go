package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/micro"

	"supmesh.dev/services"
)

type healthCmd struct {
	bus
	Ready []string      `help:"/ready addresses to ask." default:"http://127.0.0.1:9091/ready"`
	Wait  time.Duration `help:"How long services may take to answer." default:"500ms"`
}

// finding is one line of the table.
type finding struct {
	what, part string
	state      services.State
	detail     string
}

// errUnhealthy makes the exit code; the table has said why.
var errUnhealthy = errors.New("the mesh is not well")

// Run prints a table and fails if anything in it is down. Degraded parts are
// shown, but still serve.
func (c *healthCmd) Run(ctx context.Context) error {
	var found []finding
	for _, url := range c.Ready {
		found = append(found, askReady(ctx, url)...)
	}
	found = append(found, c.askServices(ctx)...)
	return report(os.Stdout, found)
}

func report(out io.Writer, found []finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHAT\tPART\tSTATE\tDETAIL")
	down := false
	for _, f := range found {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.what, f.part, f.state, f.detail)
		down = down || f.state == services.Down
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	if down {
		return errUnhealthy
	}
	return nil
}

// askReady reads one /ready: an answer of one host, or a list of several.
func askReady(ctx context.Context, url string) []finding {
	down := func(err error) []finding { return []finding{{url, "", services.Down, err.Error()}} }
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return down(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return down(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return down(err)
	}
	var hosts []services.Readiness
	if json.Unmarshal(raw, &hosts) != nil {
		var one services.Readiness
		if err := json.Unmarshal(raw, &one); err != nil || one.Service == "" {
			return down(fmt.Errorf("answered %s, not a readiness", res.Status))
		}
		hosts = []services.Readiness{one}
	}
	var found []finding
	for _, h := range hosts {
		for _, name := range slices.Sorted(maps.Keys(h.Parts)) {
			found = append(found, finding{h.Service + " " + h.Instance, name, h.Parts[name].State, h.Parts[name].Detail})
		}
	}
	return found
}

// askServices pings every micro service on NATS: each instance answers for itself.
func (c *healthCmd) askServices(ctx context.Context) []finding {
	down := func(err error) []finding { return []finding{{"nats", "services", services.Down, err.Error()}} }
	conn, err := c.connect()
	if err != nil {
		return down(err)
	}
	defer conn.Close()
	answers, err := conn.SubscribeSync(conn.NewRespInbox())
	if err != nil {
		return down(err)
	}
	subject, err := micro.ControlSubject(micro.PingVerb, "", "")
	if err != nil {
		return down(err)
	}
	asked := time.Now()
	if err := conn.PublishRequest(subject, answers.Subject, nil); err != nil {
		return down(err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	var found []finding
	for {
		msg, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			break // nobody else answers
		}
		var p micro.Ping
		if len(msg.Data) == 0 || json.Unmarshal(msg.Data, &p) != nil {
			continue
		}
		found = append(found, finding{p.Name + " " + p.ID, "rpc", services.OK, fmt.Sprintf("version %s, %s", p.Version, time.Since(asked).Round(10*time.Microsecond))})
	}
	if len(found) == 0 {
		return down(errors.New("no service answers"))
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.what, b.what) })
	return found
}
