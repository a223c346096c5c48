package chat

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// editLog is a chat's edit log.
func (i *instance) editLog(t testing.TB, chat proto.Token) []eventlog.Entry {
	t.Helper()
	page, more, err := i.log.Range(backend(t), proto.Events.Name, proto.ChatLog(chat, proto.KindEdit), 1, 1000, 8<<20)
	require.NoError(t, err)
	require.False(t, more)
	return page
}

func (i *instance) change(t testing.TB, user string, m proto.Message, text string) proto.EditRes {
	t.Helper()
	res, err := i.edit(as(t, user), proto.EditReq{ChatID: m.ChatID, MessageID: m.ID, EncryptedContent: text})
	require.NoError(t, err)
	return res
}

func (i *instance) erase(t testing.TB, user string, m proto.Message, forAll bool) proto.DeleteRes {
	t.Helper()
	res, err := i.deleteMessage(as(t, user), proto.DeleteReq{ChatID: m.ChatID, MessageID: m.ID, ForEveryone: forAll})
	require.NoError(t, err)
	return res
}

// seen is a chat's messages as a user has them: by history both ways, by sync
// and by a device's backlog, all of which must agree.
func (i *instance) seen(t testing.TB, user, chatID string) []proto.Message {
	t.Helper()
	var back, forth, synced, queued []proto.Message
	for before := uint64(0); ; {
		res, err := i.history(as(t, user), proto.HistoryReq{ChatID: chatID, BeforeSeq: before, Limit: new(7)})
		require.NoError(t, err)
		require.False(t, res.HasMore && len(res.Messages) == 0, "a page with more to come is not empty")
		page := messages(t, res.Messages)
		back = append(page, back...)
		if !res.HasMore {
			break
		}
		before = page[0].Seq
	}
	for after := uint64(0); ; {
		res, err := i.history(as(t, user), proto.HistoryReq{ChatID: chatID, AfterSeq: new(after), Limit: new(7)})
		require.NoError(t, err)
		page := messages(t, res.Messages)
		forth = append(forth, page...)
		if !res.HasMore {
			break
		}
		after = page[len(page)-1].Seq
	}
	for after := uint64(0); ; {
		res, err := i.sync(as(t, user), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: chatID, AfterSeq: after}}})
		require.NoError(t, err)
		require.Empty(t, res.Failed)
		page := messages(t, res.Chats[0].Messages)
		synced = append(synced, page...)
		if !res.Chats[0].More {
			break
		}
		after = page[len(page)-1].Seq
	}
	for after := uint64(0); ; {
		res, err := i.backlog(as(t, user), proto.BacklogReq{Limit: 7, Chats: []proto.BacklogChat{{ChatID: chatID, AfterSeq: after, UpToSeq: 1 << 30}}})
		require.NoError(t, err)
		for _, it := range res.Items {
			queued = append(queued, decode(t, it.Body).Message)
			after = it.Seq
		}
		if !res.More {
			break
		}
		require.NotEmpty(t, res.Items)
	}
	require.Equal(t, back, forth)
	require.Equal(t, back, synced)
	require.Equal(t, back, queued)
	return back
}

func messages(t testing.TB, bodies []proto.Raw) []proto.Message {
	t.Helper()
	out := make([]proto.Message, len(bodies))
	for i, b := range bodies {
		out[i] = decode(t, b).Message
	}
	return out
}

func TestEditAndDelete(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		_, err := a.putChat(backend(t), proto.PutChatReq{ChatID: "c", Members: []proto.Member{{UserID: "ann"}, {UserID: "bob"}, {UserID: "adm", Role: proto.RoleAdmin}}})
		require.NoError(t, err)
		a.chat(t, "d", "ann")
		one, two, three := a.say(t, "ann", "c", "one"), a.say(t, "bob", "c", "two"), a.say(t, "ann", "c", "three")
		foreign := a.say(t, "ann", "d", "elsewhere")

		res, err := a.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: one.ID, EncryptedContent: "uno", Metadata: proto.Raw(`{"l":"es"}`), Mentions: []string{"bob", "eve", "bob"}})
		require.NoError(t, err)
		require.Equal(t, uint64(1), res.Seq)
		m := b.seen(t, "bob", "c")[0]
		require.Equal(t, []any{"uno", `{"l":"es"}`, []string{"bob"}, res.EditedAt}, []any{m.EncryptedContent, string(m.Metadata), m.Mentions, *m.EditedAt})
		again := b.change(t, "ann", one, "uno")
		require.Equal(t, res.EditedAt, again.EditedAt)
		require.Len(t, a.editLog(t, "c"), 1, "the same again is no entry")

		gone := b.erase(t, "adm", two, true)
		require.Equal(t, gone, a.erase(t, "bob", two, true), "deleted is deleted")
		for _, forbidden := range []error{
			second(a.edit(as(t, "bob"), proto.EditReq{ChatID: "c", MessageID: one.ID, EncryptedContent: "x"})),
			second(a.deleteMessage(as(t, "bob"), proto.DeleteReq{ChatID: "c", MessageID: one.ID, ForEveryone: true})),
		} {
			requireCode(t, proto.PermissionDenied, forbidden)
		}
		for what, id := range map[string]string{"foreign": foreign.ID, "no id": "x", "made up": messageID(one.CreatedAt.Time, 1, [5]byte{1}), "of the future": messageID(one.CreatedAt.Time, 99, [5]byte{})} {
			_, err := a.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: id, EncryptedContent: "x"})
			requireField(t, proto.MessageNotFound, "messageId", err, what)
			for _, forAll := range []bool{false, true} {
				_, err = a.deleteMessage(as(t, "ann"), proto.DeleteReq{ChatID: "c", MessageID: id, ForEveryone: forAll})
				requireField(t, proto.MessageNotFound, "messageId", err, what)
			}
		}
		_, err = a.edit(as(t, "bob"), proto.EditReq{ChatID: "c", MessageID: two.ID, EncryptedContent: "x"})
		requireField(t, proto.MessageNotFound, "messageId", err, "deleted is final")
		_, err = a.edit(as(t, "eve"), proto.EditReq{ChatID: "c", MessageID: one.ID, EncryptedContent: "x"})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.deleteMessage(as(t, "eve"), proto.DeleteReq{ChatID: "c", MessageID: one.ID})
		requireCode(t, proto.ChatNotFound, err)

		check := func(why string) {
			t.Helper()
			for _, i := range []*instance{a, b} {
				all := i.seen(t, "bob", "c")
				require.Len(t, all, 3, why)
				require.Equal(t, []string{"uno", "", "three"}, []string{all[0].EncryptedContent, all[1].EncryptedContent, all[2].EncryptedContent}, why)
				require.Equal(t, &gone.DeletedAt, all[1].DeletedAt, why)
				require.Equal(t, three, all[2], why)
			}
		}
		check("as it is")
		flush(t, redis)
		check("after FLUSHALL")
		entries := a.editLog(t, "c")
		require.Len(t, entries, 2)
		require.Contains(t, string(entries[0].Body), `"editedBy":"ann","version":2`)
		require.Contains(t, string(entries[1].Body), `"deletedBy":"adm","reason":"moderated","forEveryone":true`)
	})
}

func second[T any](_ T, err error) error { return err }

// Edits and a deletion that race on two instances: one order, and deleted is final.
func TestEditsRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	both := []*instance{w.instance(), w.instance()}
	both[0].chat(t, "c", "ann")
	for round := range 5 {
		m := both[0].say(t, "ann", "c", "0")
		var wg sync.WaitGroup
		for n := range 12 {
			wg.Go(func() {
				at := both[n%2]
				if n == 7 {
					_, err := at.deleteMessage(as(t, "ann"), proto.DeleteReq{ChatID: "c", MessageID: m.ID, ForEveryone: true})
					if err != nil {
						t.Errorf("delete: %v", err)
					}
					return
				}
				text := fmt.Sprint(round, "-", n)
				_, err := at.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: text})
				if err != nil && proto.AsError(err).Code != proto.MessageNotFound {
					t.Errorf("edit: %v", err)
				}
			})
		}
		wg.Wait()
		version, deleted := uint64(1), false
		for _, e := range both[0].editLog(t, "c") {
			if e.Seq != m.Seq {
				continue
			}
			require.False(t, deleted, "nothing follows a deletion")
			r, err := revisionOf(e)
			require.NoError(t, err)
			if deleted = r.deleted != nil; !deleted {
				version++
				require.Equal(t, version, r.edited.Version, "each is built on the one before")
			}
		}
		require.True(t, deleted)
		for _, i := range both {
			all := i.seen(t, "ann", "c")
			require.NotNil(t, all[round].DeletedAt)
			require.Empty(t, all[round].EncryptedContent)
		}
	}
}

// What is acked is seen on the other instance at once, whatever Redis lost.
func TestAckedEditIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	both := []*instance{w.instance(), w.instance()}
	both[0].chat(t, "c", "ann")
	m := both[0].say(t, "ann", "c", "0")
	for n := range 20 {
		text := fmt.Sprint(n + 1)
		both[n%2].change(t, "ann", m, text)
		if n%5 == 4 {
			flush(t, w.redis)
		}
		require.Equal(t, []string{text}, both[(n+1)%2].texts(t, "ann", "c"))
	}
	// An instance that died between the log and Redis.
	last := both[0].editLog(t, "c")
	body := fmt.Sprintf(`{"chatId":"c","messageId":%q,"seq":1,"encryptedContent":"by the dead","editedAt":"2026-01-01T00:00:00.000Z","editedBy":"ann","version":22}`, m.ID)
	_, err := both[0].log.Append(backend(t), &eventlog.Append{
		Subject: proto.ChatLog("c", proto.KindEdit), After: last[len(last)-1].Position, Event: proto.MessageEditedEvent.Name, Seq: 1, Body: []byte(body),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"by the dead"}, both[1].texts(t, "ann", "c"))
	both[1].change(t, "ann", m, "alive")
	require.Equal(t, []string{"alive"}, both[0].texts(t, "ann", "c"))
}

// A request that comes again, as a gateway repeats it, is one entry: also when
// another edit came in between.
func TestRepeatedRequestIsOneEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.chat(t, "c", "ann")
	m := a.say(t, "ann", "c", "0")
	ctx := as(t, "ann")
	first, err := a.edit(ctx, proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: "1"})
	require.NoError(t, err)
	a.change(t, "ann", m, "2")
	again, err := b.edit(ctx, proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: "1"})
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, []string{"2"}, b.texts(t, "ann", "c"))
	require.Len(t, a.editLog(t, "c"), 2)
}

func TestEditWhileAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	m := a.say(t, "ann", "c", "0")
	done := make(chan error, 1)
	w.nats.Stop()
	go func() {
		_, err := a.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: "1"})
		done <- err
	}()
	w.nats.Start()
	if err := <-done; err != nil { // it may have asked while nobody was there
		require.True(t, proto.AsError(err).Code.Row().Retryable, "%v", err)
	}
	servicestest.Eventually(t, 15*time.Second, "an edit after the restart", func() bool {
		_, err := a.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: "1"})
		return err == nil
	})
	require.Equal(t, []string{"1"}, a.texts(t, "ann", "c"))
	require.Len(t, a.editLog(t, "c"), 1)
}
