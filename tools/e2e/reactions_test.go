package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

func reactTo(m mesh.SentMessage, reaction string) map[string]any {
	return map[string]any{"messageId": m.Message.ID, "chatId": m.Message.ChatID, "reaction": reaction}
}

// What is one emoji is taken, in one form; a repeat and what is not there succeed and nobody hears of them; every socket
// of every member hears of the rest, the acting one too. It is there after Redis has lost it, after the service
// died, and for a member who was away. Edges 48, 49.
func TestReactions(t *testing.T) {
	t.Parallel()
	c := newCouple(t, nil)
	m := c.say(c.annPhone, "react to this")
	added := func(client mesh.Client, reaction string) proto.AddReactionRes {
		t.Helper()
		return answer[proto.AddReactionRes](t, client.Emit(t, "reaction:new", reactTo(m, reaction)))
	}
	require.Equal(t, proto.ReactionCounts{"👨‍👩‍👧‍👦": 1}, added(c.bobPhone, "👨‍👩‍👧‍👦").Counts)
	require.Equal(t, "❤️", added(c.bobDesk, "❤").Reaction)
	require.Equal(t, 2, added(c.annDesk, "❤️").Counts["❤️"], "not two pills")
	for _, client := range c.everyone {
		got := client.Await(t, "reaction:new", 3)
		var last proto.Reaction
		got[2].Decode(t, &last)
		last.Timestamp = proto.Timestamp{}
		require.Equal(t, proto.Reaction{
			MessageID: m.Message.ID, ChatID: "room", UserID: "ann", UserName: "Name of ann", Reaction: "❤️", Action: proto.ReactionAdd, Count: 2, Author: "ann",
		}, last)
		require.NotEmpty(t, got[2].Offset, "it is durable")
	}
	c.refused(c.bobPhone, "reaction:new", reactTo(m, "lol"), "INVALID_REACTION", "reaction")
	c.refused(c.bobPhone, "reaction:new", reactTo(m, "👍👍"), "INVALID_REACTION", "reaction")
	c.refused(c.bobPhone, "reaction:new", map[string]any{"messageId": "msg_none", "chatId": "room", "reaction": "👍"}, "MESSAGE_NOT_FOUND", "messageId")

	// A double tap over a bad link, and removing what is not there.
	var wg sync.WaitGroup
	for range 5 {
		for _, client := range c.bob {
			wg.Go(func() { added(client, "👍") })
		}
	}
	wg.Wait()
	require.False(t, answer[proto.RemoveReactionRes](t, c.annPhone.Emit(t, "reaction:remove", reactTo(m, "👍"))).Removed)
	require.True(t, answer[proto.RemoveReactionRes](t, c.bobPhone.Emit(t, "reaction:remove", reactTo(m, "👍"))).Removed)
	for _, client := range c.everyone {
		client.Await(t, "reaction:remove", 1)
		require.Len(t, client.Events("reaction:new"), 4, "one broadcast")
		require.Len(t, client.Events("reaction:remove"), 1)
	}

	want := proto.ReactionCounts{"👨‍👩‍👧‍👦": 1, "❤️": 2}
	check := func() {
		t.Helper()
		got := answer[proto.GetReactionsRes](t, c.annPhone.Emit(t, "reaction:get", map[string]any{"messageId": m.Message.ID}))
		require.Equal(t, want, got.Counts)
		require.Equal(t, []string{"❤️"}, got.Mine)
		require.Len(t, got.Reactions, 3)
	}
	check()
	c.m.FlushRedis(t)
	mesh.Eventually(t, 20*time.Second, "reactions are read again", func() bool {
		return c.annPhone.Emit(t, "reaction:get", map[string]any{"messageId": m.Message.ID, "chatId": "room"}).Success
	})
	check()
	c.m.Reacts[0].Kill()
	c.m.StartReacts(t, 0)
	check()
	tablet := mesh.DialPlain(t, c.m.Gateways[0].URL, mesh.Token(t, "bob", "tablet"))
	sum := answer[proto.ReactionSummaryRes](t, tablet.Emit(t, "reaction:summary", map[string]any{"chatId": "room", "messageIds": []string{m.Message.ID}}))
	require.Equal(t, want, sum.Messages[0].Counts)
	c.m.PutChat(t, "elsewhere", "eve")
	eve := mesh.DialPlain(t, c.m.Gateways[0].URL, mesh.Token(t, "eve", ""))
	c.refused(eve, "reaction:new", reactTo(m, "👍"), "CHAT_NOT_FOUND", "")
	c.refused(eve, "reaction:get", map[string]any{"messageId": m.Message.ID, "chatId": "room"}, "CHAT_NOT_FOUND", "")
}

// Many users toggle many reactions on one message at once: what every device counts in the end is what the log says.
func TestManyToggle(t *testing.T) {
	t.Parallel()
	const users, reactions = 16, 10
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 1, Env: map[string]string{"RATE_LIMITS": "off"}})
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprintf("user-%d", i)
	}
	m.PutChat(t, "room", names...)
	clients := make([]*mesh.Plain, users)
	for i := range clients {
		clients[i] = mesh.DialPlain(t, m.Gateways[i%2].URL, mesh.Token(t, names[i], ""))
	}
	msg := sent(t, clients[0].Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "vote"}))
	var wg sync.WaitGroup
	for i, client := range clients {
		wg.Go(func() {
			for r := range reactions {
				request := reactTo(msg, fmt.Sprintf(":r%d:", (r+i)%reactions))
				for range 1 + (i+r)%3 { // put, away, put again
					persist(t, client, "reaction:new", request)
					if (i+r)%3 == 2 {
						break
					}
					persist(t, client, "reaction:remove", request)
				}
			}
		})
	}
	wg.Wait()
	truth := answer[proto.GetReactionsRes](t, clients[0].Emit(t, "reaction:get", map[string]any{"messageId": msg.Message.ID, "chatId": "room"})).Counts
	require.NotEmpty(t, truth)
	for i, client := range clients {
		mesh.Eventually(t, 20*time.Second, fmt.Sprintf("client %d has the counts", i), func() bool {
			counts := proto.ReactionCounts{}
			for _, e := range client.Events("") { // in the log's order
				if e.Event == "reaction:new" || e.Event == "reaction:remove" {
					var r proto.Reaction
					e.Decode(t, &r)
					counts[r.Reaction] = r.Count
				}
			}
			return sameCounts(counts, truth)
		})
	}
}

func sameCounts(got, want proto.ReactionCounts) bool {
	n := 0
	for name, count := range got {
		if count > 0 {
			n++
			if want[name] != count {
				return false
			}
		}
	}
	return n == len(want)
}

// persist emits an idempotent event until it succeeds, as a client does while the
// failure is retryable.
func persist(t *testing.T, client *mesh.Plain, event string, request any) {
	t.Helper()
	for began := time.Now(); ; {
		ack := client.Emit(t, event, request)
		if ack.Success {
			return
		}
		if !ack.Retryable || time.Since(began) > time.Minute {
			t.Errorf("%s", ack.Raw)
			return
		}
		wait(t, seconds/10)
	}
}
