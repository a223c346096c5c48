package e2e

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/tools/e2e/mesh"
)

// repeat is one request of a row, which is made, repeated, and repeated once more after
// what it made has ended.
type repeat struct {
	name   string // where a row has several
	actor  proto.Actor
	before func()     // what must be there
	req    func() any // called once
	state  []probe    // reads that must not change, beside the log
	end    func()     // ends, or replaces, what the request made
	masks  []string   // fields of the answer that tell what this very try did, or the time
	now    bool       // after the end the answer tells how it is now
}

// probe is a read.
type probe struct {
	row   proto.Row
	actor proto.Actor
	req   any
}

// repeats makes requests of a mesh as gateways, services and backends do.
type repeats struct {
	t   *testing.T
	nc  *nats.Conn
	js  jetstream.JetStream
	sub *nats.Subscription // events of calls that nothing stores
	n   int
}

var backendActor = proto.Actor{Backend: true}

func userActor(user string) proto.Actor {
	return proto.Actor{User: user, Device: user + "-d", Socket: user + "-s", Gateway: "g"}
}

// ask makes one request under an id.
func (r *repeats) ask(row proto.Row, actor proto.Actor, id string, req any) json.RawMessage {
	r.t.Helper()
	body, err := json.Marshal(req)
	require.NoError(r.t, err)
	msg := &nats.Msg{Subject: row.Subject, Data: body, Header: nats.Header{}}
	msg.Header[proto.HeaderActor] = []string{actor.Header()}
	msg.Header[proto.HeaderRequestID] = []string{id}
	msg.Header[proto.HeaderDeadline] = []string{strconv.FormatInt(time.Now().Add(row.Timeout).UnixMilli(), 10)}
	reply, err := r.nc.RequestMsg(msg, 30*time.Second)
	require.NoError(r.t, err, row.Subject)
	return reply.Data
}

// must makes a request of its own that succeeds, and decodes its answer.
func must[Req, Res any](r *repeats, e proto.Endpoint[Req, Res], actor proto.Actor, req Req) (res Res) {
	r.t.Helper()
	answer := r.ask(e.Row, actor, services.NewRequestID(), req)
	require.Contains(r.t, string(answer), `"success":true`, "%s: %s", e.Row.Subject, answer)
	require.NoError(r.t, json.Unmarshal(answer, &res))
	return res
}

// logged are the entries of the log, by subject, that handlers append before they answer.
func (r *repeats) logged() string {
	r.t.Helper()
	stream, err := r.js.Stream(r.t.Context(), proto.Events.Name)
	require.NoError(r.t, err)
	info, err := stream.Info(r.t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(r.t, err)
	counts := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		switch kind := proto.Kind(subject[strings.LastIndexByte(subject, '.')+1:]); kind {
		case proto.KindNotice, proto.KindRing, proto.KindCalls, proto.KindEphemeral: // what follows, in its own time
		default:
			counts[subject] = n
		}
	}
	body, err := json.Marshal(counts)
	require.NoError(r.t, err)
	return string(body)
}

// look is everything that a repeat must not change.
func (r *repeats) look(c *repeat) []string {
	r.t.Helper()
	out := []string{r.logged()}
	for _, p := range c.state {
		out = append(out, mask(r.t, r.ask(p.row, p.actor, services.NewRequestID(), p.req), "requestId", "lastSeen"))
	}
	events, _, err := r.sub.Pending() // published before the answer came, over the same connection
	require.NoError(r.t, err)
	return append(out, strconv.Itoa(events))
}

// settled looks until nothing has changed for a second: presence shows some changes a little
// later, as the status of a user who has left.
func (r *repeats) settled(c *repeat) []string {
	r.t.Helper()
	state, since := r.look(c), time.Now()
	mesh.Eventually(r.t, 30*time.Second, "the state settles", func() bool {
		if next := r.look(c); !slices.Equal(state, next) {
			state, since = next, time.Now()
		}
		return time.Since(since) > time.Second
	})
	return state
}

// mask is an answer without some fields.
func mask(t *testing.T, answer json.RawMessage, fields ...string) string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(answer, &all), "%s", answer)
	for _, f := range fields {
		delete(all, f)
	}
	body, err := json.Marshal(all)
	require.NoError(t, err)
	return string(body)
}

func (r *repeats) run(row proto.Row, c *repeat) {
	t := r.t
	if c.before != nil {
		c.before()
	}
	req, id := c.req(), services.NewRequestID()
	first := r.ask(row, c.actor, id, req)
	require.Contains(t, string(first), `"success":true`)
	state := r.look(c)
	second := r.ask(row, c.actor, id, req)
	require.Equal(t, mask(t, first, c.masks...), mask(t, second, c.masks...), "the answer of a repeat")
	require.Equal(t, state, r.look(c), "the state after a repeat")
	if c.end == nil {
		return
	}
	c.end()
	if state = r.look(c); strings.HasPrefix(row.Subject, "rpc.presence.") {
		state = r.settled(c)
	}
	third := r.ask(row, c.actor, id, req)
	require.Equal(t, state, r.look(c), "the state after a repeat of what has ended")
	if !c.now {
		require.Equal(t, mask(t, first, c.masks...), mask(t, third, c.masks...), "the answer about what has ended")
	}
	require.NotContains(t, string(third), `"retryable":true`)
}

// ofTheGateway are rows that a gateway answers by itself: no request of them is repeated
// between services, and a client's own repeat finds what its connection has.
var ofTheGateway = map[string]bool{
	proto.LeaveChat.Event: true, proto.StartTyping.Event: true, proto.StopTyping.Event: true,
	proto.AuthRefresh.Event: true, proto.UnsubscribePresence.Event: true,
}

// Every row that is marked as idempotent is repeated under one request id: the answer and
// the state stay, also once what the request made has ended.
func TestRepeatsChangeNothing(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Env: withWebhooks(nil)})
	nc, err := nats.Connect(m.NATSURL)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	sub, err := nc.SubscribeSync("live.user.*." + string(proto.KindEphemeral))
	require.NoError(t, err)
	r := &repeats{t: t, nc: nc, js: js, sub: sub}
	cases := r.cases()
	for _, e := range proto.Endpoints {
		row, _, _ := e.Describe()
		if !row.Idempotent {
			continue
		}
		if row.Subject == "" {
			require.True(t, ofTheGateway[row.Event], "%s needs a case or a reason", row.Event)
			continue
		}
		require.NotEmpty(t, cases[row.Subject], "%s needs a case", row.Subject)
		for i := range cases[row.Subject] {
			c := &cases[row.Subject][i]
			t.Run(strings.TrimSpace(row.Subject+" "+c.name), func(t *testing.T) {
				outer := r.t
				r.t = t // they run one after the other
				defer func() { r.t = outer }()
				r.run(row, c)
			})
		}
	}
}
