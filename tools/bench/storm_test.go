package bench

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// stormy is a plain-profile server with one large chat, as far as a storm needs
// one, that can misbehave. Users are named by their connection: s1-u0-<index>.
type stormy struct {
	refuse, silent, twice string                          // of this event every third request is refused, not acked, acked twice
	each                  bool                            // the author is told of every receipt by itself
	tellAll               bool                            // receipts to everybody
	forget                bool                            // some receipts are never told
	most                  int                             // typists shown
	stopAfter             time.Duration                   // 0 for never
	together              bool                            // no typist ends before all are shown
	astray                bool                            // one who does not view is shown a typist
	blind                 bool                            // nobody is shown anything
	hangUp                string                          // a connection ends with its first request of this event
	change                func(event, body string) string // of what clients get

	mu      sync.Mutex
	sockets map[int]*websocket.Conn
	viewing map[int]bool
	typists map[int]bool
	full    chan struct{} // closed once all typists are shown
	waiting [2]int        // receipts not told yet
	before  [2]int        // at the tick before
	toldAt  [2]time.Time
	asked   map[string]int
	ended   chan struct{}
}

const stormyID = "msg_x"

func (f *stormy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		_, _ = fmt.Fprint(w, "{}")
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	me := indexOf(r.Header.Get("Authorization"))
	f.mu.Lock()
	f.sockets[me] = c
	f.send(c, "connected", "{}")
	f.mu.Unlock()
	for {
		_, data, err := c.Read(r.Context())
		if err != nil || !f.request(c, me, data) {
			return
		}
	}
}

// indexOf reads the connection's number out of the user in its token.
func indexOf(authorization string) (index int) {
	parts := strings.Split(authorization, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var who struct {
		UserID string `json:"userId"`
	}
	_ = json.Unmarshal(claims, &who)
	_, _ = fmt.Sscanf(who.UserID, "s1-u0-%d", &index)
	return index
}

func (f *stormy) send(c *websocket.Conn, event, body string) {
	if f.change != nil {
		body = f.change(event, body)
	}
	_ = c.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"event":%q,"data":%s}`, event, body))
}

func (f *stormy) encode(c *websocket.Conn, event string, payload any) {
	body, _ := json.Marshal(payload)
	f.send(c, event, string(body))
}

// request answers one; false ends the connection.
func (f *stormy) request(c *websocket.Conn, me int, data []byte) bool {
	var in struct {
		Event string
		Data  proto.SendMessageReq
		Ack   uint64
	}
	_ = json.Unmarshal(data, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[in.Event]++
	nth := f.asked[in.Event]
	answer := `{"success":true}`
	switch third := nth%3 == 0; {
	case in.Event == f.hangUp && nth == 1:
		return false
	case in.Event == f.silent && third:
		return true
	case in.Event == f.refuse && third:
		answer = `{"success":false,"code":"TIMEOUT"}`
	default:
		if in.Event == f.twice && third {
			defer f.ack(c, in.Ack, answer)
		}
		answer = f.act(me, in.Event, in.Data)
	}
	f.ack(c, in.Ack, answer)
	return true
}

func (f *stormy) ack(c *websocket.Conn, id uint64, answer string) {
	_ = c.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"ack":%d,"data":%s}`, id, answer))
}

func (f *stormy) act(me int, event string, data proto.SendMessageReq) (answer string) {
	switch event {
	case proto.SendMessage.Event:
		m := proto.Message{
			ID: stormyID, ChatID: data.ChatID, SenderID: "s1-u0-0", Seq: 1, EncryptedContent: data.EncryptedContent, CreatedAt: proto.At(time.Now()),
		}
		for i, c := range f.sockets {
			if i != me {
				f.encode(c, event, proto.NewMessage{Message: m, Sender: proto.Sender{ID: m.SenderID}})
			}
		}
		return `{"success":true,"message":{"id":"` + stormyID + `","seq":1}}`
	case proto.MarkDelivered.Event:
		f.waiting[0]++
	case proto.MarkRead.Event:
		f.waiting[1]++
	case proto.JoinChat.Event:
		for i := range f.viewing {
			f.encode(f.sockets[i], proto.MemberJoinedEvent.Name, proto.MemberJoined{ChatID: data.ChatID})
		}
		f.viewing[me] = true
	case proto.StartTyping.Event:
		return f.types(me, data.ChatID)
	}
	return `{"success":true}`
}

func (f *stormy) types(me int, chat string) string {
	if f.typists[me] || len(f.typists) >= f.most {
		return `{"success":true,"coalesced":true}`
	}
	f.typists[me] = true
	if len(f.typists) == f.most {
		defer close(f.full)
	}
	user := fmt.Sprint("s1-u0-", me)
	to := []*websocket.Conn{}
	for i := range f.viewing {
		to = append(to, f.sockets[i])
	}
	if f.astray {
		to = append(to, f.sockets[me])
	}
	if f.blind {
		to = nil
	}
	for _, c := range to {
		f.encode(c, proto.TypingEvent.Name, proto.Typing{ChatID: chat, UserID: user, UserName: user, ExpiresInMs: 6000})
	}
	if f.stopAfter > 0 {
		time.AfterFunc(f.stopAfter, func() {
			if f.together {
				select {
				case <-f.full:
				case <-f.ended:
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, c := range to {
				f.encode(c, proto.StopTypingEvent.Name, proto.StoppedTyping{ChatID: chat, UserID: user, Reason: proto.StoppedExpired})
			}
		})
	}
	return `{"success":true}`
}

// tell is the loop that tells the author of receipts, once no more of them come.
func (f *stormy) tell() {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-f.ended:
			return
		case <-tick.C:
		}
		f.mu.Lock()
		for kind, event := range []string{proto.DeliveredEvent.Name, proto.ReadEvent.Name} {
			n := f.waiting[kind]
			if n == 0 || n != f.before[kind] || time.Since(f.toldAt[kind]) < 510*time.Millisecond {
				f.before[kind] = n
				continue
			}
			f.waiting[kind], f.toldAt[kind] = 0, time.Now()
			if f.forget {
				n--
			}
			for n > 0 {
				told := n
				if f.each {
					told = 1
				}
				for i, c := range f.sockets {
					if i == 0 || f.tellAll {
						f.encode(c, event, proto.MessageDelivered{MessageID: stormyID, ChatID: "s1-c0", Count: told})
					}
				}
				n -= told
			}
		}
		f.mu.Unlock()
	}
}

// TestStormFaultsAreSeen runs the bursts against servers that break each of
// the bounds, and each of the promises to a client.
func TestStormFaultsAreSeen(t *testing.T) {
	t.Parallel()
	delivered, read, typing := proto.MarkDelivered.Event, proto.MarkRead.Event, proto.StartTyping.Event
	for _, c := range []struct {
		name  string
		seed  func(*stormy)
		parts []int // where it is named: 0 delivered, 1 read, 2 typing
		want  string
	}{
		{"none", func(*stormy) {}, nil, ""},
		{"delivered refused", func(f *stormy) { f.refuse = delivered }, []int{0}, "19 message:delivered refused"},
		{"read refused", func(f *stormy) { f.refuse = read }, []int{1}, "19 message:read refused"},
		{"delivered not acked", func(f *stormy) { f.silent = delivered }, []int{0}, "19 message:delivered without an ack"},
		{"read not acked", func(f *stormy) { f.silent = read }, []int{1}, "19 message:read without an ack"},
		{"acked twice", func(f *stormy) { f.twice = read }, []int{1}, "19 acks repeated"},
		{"typing refused", func(f *stormy) { f.refuse = typing }, []int{2}, "message:typing refused"},
		{"typing not acked", func(f *stormy) { f.silent = typing }, []int{2}, "message:typing without an ack"},
		{"join refused", func(f *stormy) { f.refuse = proto.JoinChat.Event }, []int{2}, "1 chat:join refused"},
		{"connection lost", func(f *stormy) { f.hangUp = delivered }, []int{0, 1, 2}, "1 connections lost"},
		{"author told of each", func(f *stormy) { f.each = true }, []int{0, 1}, "the author got 59 events within a second"},
		{"author not told of all", func(f *stormy) { f.forget = true }, []int{0, 1}, "the author heard of"},
		{"everybody told", func(f *stormy) { f.tellAll = true }, []int{0, 1}, "at members who are not the author"},
		{"too many shown", func(f *stormy) { f.most = 51 }, []int{2}, "a viewer was shown 51 typists at once"},
		{"never ends", func(f *stormy) { f.stopAfter = 0 }, []int{2}, "150 indicators did not end"},
		{"ends late", func(f *stormy) { f.stopAfter = 600 * time.Millisecond }, []int{2}, "150 indicators lived longer than 400ms"},
		{"not viewing", func(f *stormy) { f.astray = true }, []int{2}, "50 message:typing at members whom it does not concern"},
		{"nobody shown", func(f *stormy) { f.blind = true }, []int{2}, "3 viewers were shown nobody"},
		{"another message", change(delivered, `"msg_x"`, `"msg_y"`), []int{0}, "frames not as sent"},
		{"message lost", change("message:new", `"seq":1`, `"seq":2`), []int{2}, "deliveries missing"},
		{"who does not type", change(typing, `"userId":"s1-u0-`, `"userId":"x`), []int{2}, "typing of nobody who types"},
		{"another chat", change(typing, `"s1-c0"`, `"s1-c1"`), []int{2}, "reached a viewer of another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := runStormy(t, c.seed)
			for i, r := range results {
				problems := strings.Join(problemsOf(r), "; ")
				if !slices.Contains(c.parts, i) {
					require.Empty(t, problems, "%s: nothing else is named", r.Step)
					continue
				}
				require.Contains(t, problems, c.want, r.Step)
			}
		})
	}
}

// change has clients get something else than they are to.
func change(event, from, to string) func(*stormy) {
	return func(f *stormy) {
		f.change = func(is, body string) string {
			if is != event {
				return body
			}
			return strings.ReplaceAll(body, from, to)
		}
	}
}

func runStormy(t *testing.T, seed func(*stormy)) []result {
	t.Helper()
	f := &stormy{
		sockets: map[int]*websocket.Conn{}, viewing: map[int]bool{}, typists: map[int]bool{}, asked: map[string]int{},
		most: maxShown, stopAfter: 150 * time.Millisecond, full: make(chan struct{}), ended: make(chan struct{}),
	}
	seed(f)
	server := httptest.NewServer(f)
	var told sync.WaitGroup
	told.Go(f.tell)
	defer func() {
		close(f.ended)
		told.Wait()
		server.Close()
	}()
	addr := strings.TrimPrefix(server.URL, "http://")
	b := &bench{options: &Options{Target: "mesh", Progress: io.Discard}, wire: plain{}}
	results, err := b.crowd(t.Context(), &system{edge: self, addr: addr, admin: addr}, stormLoad{
		members: 60, typists: 53, viewers: 3, content: minContent,
		giveUp: 700 * time.Millisecond, typingFor: 100 * time.Millisecond, ends: 400 * time.Millisecond, quiet: 50 * time.Millisecond,
	})
	require.NoError(t, err)
	require.Len(t, results, 3)
	return results
}

// TestStormFigures looks at what is shown where nothing is wrong.
func TestStormFigures(t *testing.T) {
	t.Parallel()
	results := runStormy(t, func(f *stormy) { f.together = true })
	value := func(step int, name string) float64 {
		v, ok := results[step].value(name)
		require.True(t, ok, name)
		return v
	}
	for step := range 2 {
		require.InDelta(t, 59, value(step, "acked"), 0)
		require.InDelta(t, 59, value(step, "receipts in them"), 0)
		require.Positive(t, value(step, "acks"))
		require.GreaterOrEqual(t, value(step, "last ack"), value(step, "ack p50"))
		require.Positive(t, value(step, "author knows all"))
	}
	require.InDelta(t, 159, value(2, "acked"), 0, "each of 53 three times")
	require.InDelta(t, 50, value(2, "told"), 0)
	require.InDelta(t, 68.55, value(2, "coalesced"), 0.01)
	require.InDelta(t, 50, value(2, "message:typing a viewer, least"), 0)
	require.InDelta(t, 50, value(2, "message:typing a viewer, most"), 0)
	require.InDelta(t, 50, value(2, "stop-typing a viewer"), 0)
	require.InDelta(t, 50, value(2, "shown at once, most"), 0)
	require.InDelta(t, 3, value(2, "member-joined to viewers"), 0)
	require.Greater(t, value(2, "longest indicator"), 100.0)
}

func TestHeardAtMost(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var h heard
	require.Zero(t, h.densest())
	for _, after := range []int{0, 1050, 2040, 2100, 3000, 3039, 3041} { // ms
		h.add(start.Add(time.Duration(after)*time.Millisecond), 10)
	}
	require.Equal(t, 4, h.densest(), "2040 to 3039")

	early := h.until(start.Add(2040 * time.Millisecond))
	require.Len(t, early.at, 3)
	require.EqualValues(t, 30, early.total())
	at, ok := early.knows(11)
	require.True(t, ok)
	require.Equal(t, start.Add(1050*time.Millisecond), at)
	_, ok = early.knows(31)
	require.False(t, ok, "what comes later is not of this part")
}

func TestLastMemberHasIt(t *testing.T) {
	t.Parallel()
	tally := newTally(plain{}, schedule{rate: 1, count: 4, senders: 1}, 0, 1, nil)
	tally.lastAt = []time.Duration{time.Minute, 1100 * time.Millisecond, 2300 * time.Millisecond, 3200 * time.Millisecond}
	var r result
	r.fillEach(load{members: 201}, tally)
	for name, want := range map[string]float64{"last member p50": 200, "last member p99": 300, "last member max": 300, "deliveries in a burst": 1000} {
		v, ok := r.value(name)
		require.True(t, ok)
		require.InDelta(t, want, v, 0.01, name)
	}
}
