package reactions

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// town is two instances on one NATS and one Redis, with a chat of which alice,
// bob and everybody called user-… are members.
type town struct {
	t     testing.TB
	nats  *servicestest.NATS
	redis *servicestest.Redis
	host  *services.Host // who asks
	log   *journal.Journal
	stops []func() error
}

const (
	chatID  = "chat.one"
	message = "msg_01KK8Y8Z0G0000000A00BWY4SB"
)

func newTown(t testing.TB, redis *servicestest.Redis) *town {
	t.Helper()
	w := &town{t: t, nats: servicestest.RunNATS(t), redis: redis}
	w.host = servicestest.NewHost(t, "chat", w.nats, nil)
	w.host.Serve(services.On(proto.FindMessage, find, services.Unordered()), services.On(proto.MembersAmong, among, services.Unordered()))
	servicestest.Run(t, w.host, servicestest.Service{})
	for range 2 {
		w.instance()
	}
	w.log = journal.New(w.host.JetStream(), w.host.CatchUp())
	return w
}

func (w *town) instance() {
	w.t.Helper()
	h := servicestest.NewHost(w.t, "reactions", w.nats, w.redis)
	s, err := New(Config{Config: servicestest.Config(w.nats, w.redis)}, h)
	require.NoError(w.t, err)
	w.stops = append(w.stops, servicestest.Run(w.t, h, s, proto.Events))
}

// find is chat's answer.
func find(_ context.Context, req proto.FindMessageReq) (proto.FindMessageRes, error) {
	switch {
	case req.UserID == "mallory", req.ChatID != "" && req.ChatID != chatID:
		return proto.FindMessageRes{}, proto.Errorf(proto.ChatNotFound, "no such chat")
	case req.MessageID == "msg_deleted":
		return proto.FindMessageRes{ChatID: chatID, SenderID: "alice", Deleted: true}, nil
	case req.MessageID == "msg_unknown":
		return proto.FindMessageRes{}, &proto.Error{Code: proto.MessageNotFound, Field: "messageId", Message: "no such message"}
	}
	return proto.FindMessageRes{ChatID: chatID, SenderID: "alice", Seq: 1}, nil
}

func among(_ context.Context, req proto.AmongReq) (res proto.AmongRes, err error) {
	res.Members = []string{}
	for _, id := range req.UserIDs {
		if id != "mallory" {
			res.Members = append(res.Members, id)
		}
	}
	return res, nil
}

func (w *town) actor(user string) proto.Actor {
	return proto.Actor{User: user, Name: "Name of " + user}
}

func react(reaction string) proto.ReactReq {
	return proto.ReactReq{MessageID: message, ChatID: chatID, Reaction: reaction}
}

// toggle adds a reaction and then, if told to, removes it.
func (w *town) toggle(user, reaction string, remove bool) {
	if _, err := w.add(user, reaction); err != nil {
		w.t.Errorf("add: %v", err)
	}
	if !remove {
		return
	}
	if _, err := w.remove(user, reaction); err != nil {
		w.t.Errorf("remove: %v", err)
	}
}

func (w *town) add(user, reaction string) (proto.AddReactionRes, error) {
	return do(w, proto.AddReaction, user, react(reaction))
}

// addOnce is add without a repeat.
func (w *town) addOnce(user, reaction string) (proto.AddReactionRes, error) {
	return services.Do(w.t.Context(), w.host, proto.AddReaction, w.actor(user), react(reaction))
}

func (w *town) remove(user, reaction string) (proto.RemoveReactionRes, error) {
	return do(w, proto.RemoveReaction, user, react(reaction))
}

// do makes a request, and makes it again under the same id while it may be repeated.
func do[Req, Res any](w *town, e proto.Endpoint[Req, Res], user string, req Req) (Res, error) {
	id := services.WithRequestID(services.NewRequestID())
	return servicestest.Persist(func() (Res, error) { return services.Do(w.t.Context(), w.host, e, w.actor(user), req, id) })
}

func (w *town) get(user string, req proto.GetReactionsReq) proto.GetReactionsRes {
	w.t.Helper()
	res, err := do(w, proto.GetReactions, user, req)
	require.NoError(w.t, err)
	return res
}

// logged is every entry of the chat's reactions.
func (w *town) logged() (out []proto.Reaction) {
	w.t.Helper()
	token, err := proto.EncodeID(chatID)
	require.NoError(w.t, err)
	var after uint64
	for more := true; more; {
		var page []journal.Entry
		page, more, err = w.log.Page(w.t.Context(), proto.ChatLog(token, proto.KindReaction), after)
		require.NoError(w.t, err)
		for _, e := range page {
			var r proto.Reaction
			require.NoError(w.t, wire.Restore(e.Body, &r))
			want := proto.ReactionEvent.Name
			if r.Action == proto.ReactionRemove {
				want = proto.ReactionGoneEvent.Name
			}
			require.Equal(w.t, want, e.Event)
			out = append(out, r)
			after = e.Position
		}
	}
	return out
}

func onBoth(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

func TestReactions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		got, err := w.add("bob", "❤")
		require.NoError(t, err)
		require.Equal(t, proto.AddReactionRes{MessageID: message, Reaction: "❤️", Counts: proto.ReactionCounts{"❤️": 1}}, got)
		got, err = w.add("alice", "❤️")
		require.NoError(t, err)
		require.Equal(t, proto.ReactionCounts{"❤️": 2}, got.Counts, "not two pills")
		_, err = w.add("alice", "👨‍👩‍👧‍👦")
		require.NoError(t, err)
		_, err = w.add("alice", ":party_parrot:")
		require.NoError(t, err)

		before := len(w.logged())
		got, err = w.add("bob", "❤️")
		require.NoError(t, err, "the same again")
		require.Equal(t, 2, got.Counts["❤️"])
		gone, err := w.remove("bob", "👍")
		require.NoError(t, err, "one that is not there")
		require.False(t, gone.Removed)
		require.Len(t, w.logged(), before, "nobody is told")

		gone, err = w.remove("bob", "❤")
		require.NoError(t, err)
		require.True(t, gone.Removed)
		require.Equal(t, proto.ReactionCounts{"❤️": 1, "👨‍👩‍👧‍👦": 1, ":party_parrot:": 1}, gone.Counts)

		all := w.logged()
		require.Len(t, all, 5)
		last := all[4]
		require.Equal(t, proto.Reaction{
			MessageID: message, ChatID: chatID, UserID: "bob", UserName: "Name of bob", Reaction: "❤️", Action: proto.ReactionRemove,
			Timestamp: last.Timestamp, Count: 1, Author: "alice",
		}, last)

		res := w.get("alice", proto.GetReactionsReq{MessageID: message})
		require.Len(t, res.Reactions, 3)
		require.Equal(t, "alice", res.Reactions[0].UserID)
		require.Equal(t, "❤️", res.Reactions[0].Reaction, "oldest first")
		require.ElementsMatch(t, []string{"❤️", "👨‍👩‍👧‍👦", ":party_parrot:"}, res.Mine)
		require.Empty(t, w.get("bob", proto.GetReactionsReq{MessageID: message, ChatID: chatID}).Mine)

		many := proto.ReactionSummaryReq{ChatID: chatID, MessageIDs: []string{"msg_unknown", message}}
		sum, err := do(w, proto.SummarizeReactions, "alice", many)
		require.NoError(t, err)
		require.Equal(t, []proto.ReactionSummary{{MessageID: message, Counts: gone.Counts, Mine: res.Mine}}, sum.Messages)
		_, err = do(w, proto.SummarizeReactions, "mallory", many)
		require.ErrorIs(t, err, &proto.Error{Code: proto.ChatNotFound})
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for _, c := range []struct {
		user, message, reaction string
		code                    proto.Code
	}{
		{"bob", message, "lol", proto.InvalidReaction},
		{"bob", message, "👍👍", proto.InvalidReaction},
		{"bob", message, ":" + "a b" + ":", proto.InvalidReaction},
		{"mallory", message, "👍", proto.ChatNotFound},
		{"bob", "msg_unknown", "👍", proto.MessageNotFound},
		{"bob", "msg_deleted", "👍", proto.MessageNotFound},
		{"", message, "👍", proto.AuthenticationRequired},
	} {
		_, err := do(w, proto.AddReaction, c.user, proto.ReactReq{MessageID: c.message, ChatID: chatID, Reaction: c.reaction})
		require.ErrorIs(t, err, &proto.Error{Code: c.code}, "%+v", c)
	}
	require.Empty(t, w.logged())
	require.Empty(t, w.get("bob", proto.GetReactionsReq{MessageID: "msg_deleted"}).Reactions)
	_, err := do(w, proto.GetReactions, "bob", proto.GetReactionsReq{MessageID: message, Cursor: "x"})
	require.ErrorIs(t, err, &proto.Error{Code: proto.InvalidPayload})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for i := range proto.MaxReactions {
		_, err := w.add("bob", fmt.Sprintf(":e%d:", i))
		require.NoError(t, err)
	}
	_, err := w.add("bob", "👍")
	require.ErrorIs(t, err, &proto.Error{Code: proto.ReactionLimit})
	_, err = w.add("bob", ":e3:")
	require.NoError(t, err, "one that is there")
	_, err = w.add("alice", "👍")
	require.NoError(t, err, "the limit is of each user")
	_, err = w.remove("bob", ":e3:")
	require.NoError(t, err)
	_, err = w.add("bob", "👍")
	require.NoError(t, err)
}

// truth plays the log back.
func truth(all []proto.Reaction) map[string]map[string]bool {
	on := map[string]map[string]bool{}
	for _, r := range all {
		if on[r.Reaction] == nil {
			on[r.Reaction] = map[string]bool{}
		}
		if r.Action == proto.ReactionAdd {
			on[r.Reaction][r.UserID] = true
		} else {
			delete(on[r.Reaction], r.UserID)
		}
	}
	return on
}

// TestToggling: 50 users put 20 reactions on one message and take half of them
// away, all at once and over two instances: each entry of the log counts right.
func TestToggling(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	var wg sync.WaitGroup
	for u := range 50 {
		wg.Go(func() {
			user := fmt.Sprintf("user-%d", u)
			for i := range 20 {
				w.toggle(user, fmt.Sprintf(":e%d:", (i+u)%20), (i+u)%2 == 0)
			}
		})
	}
	wg.Wait()
	all := w.logged()
	require.Len(t, all, 50*20+50*10)
	for i, r := range all {
		require.Len(t, truth(all[:i+1])[r.Reaction], r.Count, "entry %d", i)
		if i == 300 { // quadratic: the rest by its end
			break
		}
	}
	want, sum := proto.ReactionCounts{}, 0
	lastCount := map[string]int{}
	for _, r := range all {
		lastCount[r.Reaction] = r.Count
	}
	for e, users := range truth(all) {
		require.Equal(t, len(users), lastCount[e], "the last event of %s", e)
		if len(users) > 0 {
			want[e] = len(users)
			sum += len(users)
		}
	}
	require.Equal(t, want, w.get("user-0", proto.GetReactionsReq{MessageID: message}).Counts)

	// Page by page each reaction comes once, also from what was read from the log again.
	for range 2 {
		seen := map[string]bool{}
		req := proto.GetReactionsReq{MessageID: message, Limit: new(7)}
		for first := true; first || req.Cursor != ""; first = false {
			page := w.get("user-0", req)
			for _, r := range page.Reactions {
				require.False(t, seen[r.UserID+r.Reaction])
				seen[r.UserID+r.Reaction] = true
			}
			req.Cursor = page.NextCursor
		}
		require.Len(t, seen, sum)
		require.NoError(t, w.redis.Client().FlushAll(t.Context()).Err())
	}
	require.Equal(t, want, w.get("user-0", proto.GetReactionsReq{MessageID: message}).Counts, "after FLUSHALL")
}

// TestFlushedMeanwhile: Redis is emptied again and again while users toggle; the
// log and what is read in the end are one.
func TestFlushedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	flush := w.redis.FlushEach(10)
	var wg sync.WaitGroup
	for u := range 8 {
		wg.Go(func() {
			user := fmt.Sprintf("user-%d", u)
			for range 25 {
				w.toggle(user, "👍", true)
				flush()
			}
		})
	}
	wg.Wait()
	has := map[string]bool{}
	for _, r := range w.logged() {
		add := r.Action == proto.ReactionAdd
		require.NotEqual(t, add, has[r.UserID], "no entry says what was so already")
		has[r.UserID] = add
		n := 0
		for _, yes := range has {
			if yes {
				n++
			}
		}
		require.Equal(t, n, r.Count)
	}
	n := 0
	for _, yes := range has {
		if yes {
			n++
		}
	}
	require.Equal(t, n, w.get("user-0", proto.GetReactionsReq{MessageID: message}).Counts["👍"])
}

// TestRedisAway: what is stored while Redis cannot be told is there when it is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	_, err := w.add("bob", "👍")
	require.NoError(t, err)
	w.redis.Stop()
	_, err = w.addOnce("bob", "❤️")
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	w.redis.Start()
	servicestest.Eventually(t, 15*time.Second, "redis is back", func() bool {
		_, err := w.addOnce("alice", "❤️")
		return err == nil
	})
	servicestest.Eventually(t, 15*time.Second, "both instances know", func() bool {
		res, err := services.Do(t.Context(), w.host, proto.GetReactions, w.actor("bob"), proto.GetReactionsReq{MessageID: message})
		return err == nil && res.Counts["👍"] == 1 && res.Counts["❤️"] == 1
	})
}

// TestAckedAndNotTold: an instance dies between the log and Redis; nobody sees less
// than was stored, and taking it away works.
func TestAckedAndNotTold(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	_, err := w.add("bob", "👍")
	require.NoError(t, err)
	token, err := proto.EncodeID(chatID)
	require.NoError(t, err)
	body, err := wire.Marshal(proto.Reaction{MessageID: message, ChatID: chatID, UserID: "alice", Reaction: "👍", Action: proto.ReactionAdd, Count: 2})
	require.NoError(t, err)
	_, _, err = w.log.Append(t.Context(), journal.Append{Subject: proto.ChatLog(token, proto.KindReaction), Anyhow: true, Event: "reaction:new", Body: body})
	require.NoError(t, err)
	require.Equal(t, 2, w.get("bob", proto.GetReactionsReq{MessageID: message}).Counts["👍"])
	gone, err := w.remove("alice", "👍")
	require.NoError(t, err)
	require.True(t, gone.Removed)
	require.Equal(t, 1, gone.Counts["👍"])
}
