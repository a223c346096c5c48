package reactions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// Each list that reactions answers with, at its bounds, on a server with the smallest
// max_payload: nothing is refused, and every page gets further.

// shortcode is the n-th of the longest reactions.
func shortcode(n int) string { return ":" + strings.Repeat("x", 24) + fmt.Sprintf("%06d:", n) }

// put stores reactions as they stand in the log, without requests.
func (w *town) put(all ...proto.Reaction) {
	w.t.Helper()
	chat, err := proto.EncodeID(chatID)
	require.NoError(w.t, err)
	for _, r := range all {
		r.ChatID, r.Action, r.Timestamp = chatID, proto.ReactionAdd, proto.At(time.Now())
		body, err := wire.Marshal(r)
		require.NoError(w.t, err)
		_, err = w.host.JetStream().PublishMsgAsync(&nats.Msg{
			Subject: proto.ChatLog(chat, proto.KindReaction), Data: body, Header: nats.Header{proto.HeaderEvent: {proto.ReactionEvent.Name}},
		})
		require.NoError(w.t, err)
	}
	<-w.host.JetStream().PublishAsyncComplete()
}

func TestManyReactions(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	me := proto.Actor{User: servicestest.LongID(0)}
	const messages = 60
	req := proto.ReactionSummaryReq{ChatID: chatID}
	for m := range messages {
		req.MessageIDs = append(req.MessageIDs, servicestest.LongID(m))
		var all []proto.Reaction
		for n := range proto.MaxDistinct {
			user := servicestest.LongID(n / proto.MaxReactions)
			all = append(all, proto.Reaction{MessageID: req.MessageIDs[m], UserID: user, Reaction: shortcode(n), Count: 1})
		}
		w.put(all...)
	}
	got := 0
	for len(req.MessageIDs) > 0 {
		res := servicestest.AtBounds(t, w.host, proto.SummarizeReactions, me, req)
		require.NotEmpty(t, res.Messages)
		for i, m := range res.Messages {
			require.Equal(t, req.MessageIDs[i], m.MessageID)
			require.Len(t, m.Counts, proto.MaxDistinct)
			require.Len(t, m.Mine, proto.MaxReactions)
			got++
		}
		require.Equal(t, len(req.MessageIDs)-len(res.Messages), res.Rest)
		req.MessageIDs = req.MessageIDs[len(res.Messages):]
	}
	require.Equal(t, messages, got)

	// One message with more than may be put on it any more: from before there was a bound.
	id := servicestest.LongID(999)
	var all []proto.Reaction
	for n := range 3_000 {
		all = append(all, proto.Reaction{MessageID: id, UserID: servicestest.LongID(n / proto.MaxReactions), Reaction: shortcode(n), Count: 1})
	}
	w.put(append(all, proto.Reaction{MessageID: id, UserID: servicestest.LongID(500), Reaction: shortcode(2_999), Count: 2})...)
	seen := map[string]bool{}
	for get := (proto.GetReactionsReq{MessageID: id, ChatID: chatID, Limit: new(proto.MaxReactionsPage)}); ; {
		res := servicestest.AtBounds(t, w.host, proto.GetReactions, me, get)
		require.NotEmpty(t, res.Reactions)
		require.Len(t, res.Counts, proto.MaxDistinct)
		require.Equal(t, 2, res.Counts[shortcode(2_999)], "those of most users")
		for _, r := range res.Reactions {
			require.False(t, seen[r.UserID+r.Reaction])
			seen[r.UserID+r.Reaction] = true
		}
		if get.Cursor = res.NextCursor; get.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, 3_001)
	react := proto.ReactReq{MessageID: id, ChatID: chatID, Reaction: shortcode(0)}
	require.Len(t, servicestest.AtBounds(t, w.host, proto.AddReaction, proto.Actor{User: "bob"}, react).Counts, proto.MaxDistinct)
	require.Len(t, servicestest.AtBounds(t, w.host, proto.RemoveReaction, proto.Actor{User: "bob"}, react).Counts, proto.MaxDistinct)
}

// TestDistinctLimit: the different reactions on a message have a bound over all users; what
// is there can be joined in.
func TestDistinctLimit(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for n := range proto.MaxDistinct {
		_, err := w.add(fmt.Sprint("user-", n/proto.MaxReactions), shortcode(n))
		require.NoError(t, err)
	}
	_, err := w.add("bob", "👍")
	require.ErrorIs(t, err, &proto.Error{Code: proto.ReactionLimit})
	_, err = w.add("bob", shortcode(0))
	require.NoError(t, err)
	_, err = w.remove("user-0", shortcode(1))
	require.NoError(t, err)
	_, err = w.add("bob", "👍")
	require.NoError(t, err)
}
