package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// pages reads all members of a chat; between is called after each page.
func (i *instance) pages(t testing.TB, chatID string, limit int, between func(page int)) (pages [][]proto.Member) {
	t.Helper()
	req := proto.GetChatReq{ChatID: chatID}
	if limit > 0 {
		req.Limit = &limit
	}
	for {
		require.NoError(t, req.Validate())
		res, err := i.getChat(backend(t), req)
		require.NoError(t, err)
		pages = append(pages, res.Members)
		if res.NextCursor == "" {
			return pages
		}
		require.NotEmpty(t, res.Members)
		require.NotEqual(t, req.Cursor, res.NextCursor)
		req.Cursor = res.NextCursor
		if between != nil {
			between(len(pages))
		}
	}
}

func TestMembersComeInPages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		var want []string
		for part := range 3 {
			req := proto.AddMembersReq{ChatID: "c"}
			for n := range proto.MaxMembersPerRequest {
				id := fmt.Sprintf("user %d", part*proto.MaxMembersPerRequest+n) // a space: not its own token
				req.Members, want = append(req.Members, proto.Member{UserID: id}), append(want, id)
			}
			if part == 0 {
				_, err := a.putChat(backend(t), proto.PutChatReq{ChatID: "c", Members: req.Members})
				require.NoError(t, err)
				continue
			}
			require.NoError(t, req.Validate())
			res, err := a.addMembers(backend(t), req)
			require.NoError(t, err)
			require.Equal(t, proto.MaxMembersPerRequest, res.Changed, "a thousand in one request")
		}
		for _, limit := range []int{0, 70, 999} {
			var got []string
			// Those who leave and come meanwhile move nobody from page to page.
			for _, page := range a.pages(t, "c", limit, func(page int) {
				if page > 3 {
					return
				}
				_, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: fmt.Sprint("passing", limit, page)})
				require.NoError(t, err)
				_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: fmt.Sprint("passing", limit, page-1)})
				require.NoError(t, err)
			}) {
				if limit > 0 {
					require.LessOrEqual(t, len(page), limit)
				}
				for _, m := range page {
					if !strings.HasPrefix(m.UserID, "passing") {
						got = append(got, m.UserID)
					}
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, want, got, "limit %d: each member once", limit)
		}
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	roles := func() map[string]proto.Role {
		out := map[string]proto.Role{}
		for _, m := range slices.Concat(a.pages(t, "c", 0, nil)...) {
			out[m.UserID] = m.Role
		}
		return out
	}
	_, err := a.putChat(backend(t), proto.PutChatReq{ChatID: "c", Members: []proto.Member{{UserID: "ann", Role: proto.RoleOwner}, {UserID: "bob", Role: proto.RoleAdmin}, {UserID: "cat"}}})
	require.NoError(t, err)
	require.Equal(t, map[string]proto.Role{"ann": proto.RoleOwner, "bob": proto.RoleAdmin, "cat": proto.RoleMember}, roles())
	_, err = a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: "cat", Role: proto.RoleOwner})
	require.NoError(t, err)
	_, err = a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", Members: []proto.Member{{UserID: "cat"}, {UserID: "bob", Role: proto.RoleMember}}})
	require.NoError(t, err)
	require.Equal(t, map[string]proto.Role{"ann": proto.RoleOwner, "bob": proto.RoleMember, "cat": proto.RoleOwner}, roles(), "no role given changes none")
	for _, owner := range []string{"ann", "cat"} {
		res, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: owner, Reason: "left"})
		require.NoError(t, err)
		require.Equal(t, 1, res.Changed, "the last owner may leave too")
	}
	require.Equal(t, map[string]proto.Role{"bob": proto.RoleMember}, roles())
}

// Every admin row under a key, on every Redis there is: the repeat is answered
// with the same bytes by another instance, and changes nothing.
func TestAdminRowsKeepTheirAnswers(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		caller := servicestest.NewHost(t, "caller", w.nats, nil)
		ask := func(row proto.Row, body string) services.Reply {
			t.Helper()
			reply, err := caller.Request(t.Context(), row.Subject, proto.Actor{Backend: true}, []byte(body), services.WithRow(row), services.WithIdempotencyKey("k"))
			require.NoError(t, err)
			return reply
		}
		type asked struct {
			row  proto.Row
			body string
		}
		requests := []asked{
			{proto.PatchChat.Row, `{"chatId":"c","name":"too early"}`}, // CHAT_NOT_FOUND, which is kept too
			{proto.PutChat.Row, `{"chatId":"c","name":"n","members":[{"userId":"ann","role":"owner"}]}`},
			{proto.AddMembers.Row, `{"chatId":"c","userId":"bob"}`},
			{proto.RemoveMember.Row, `{"chatId":"c","userId":"bob","reason":"left"}`},
			{proto.GetChat.Row, `{"chatId":"c"}`},
		}
		var first []services.Reply
		for _, r := range requests {
			reply := ask(r.row, r.body)
			require.False(t, reply.Replayed, r.row.Subject)
			first = append(first, reply)
		}
		w.instance()
		require.NoError(t, a.stop()) // the other one answers from here on
		for i, r := range requests {
			again := ask(r.row, r.body)
			require.True(t, again.Replayed, r.row.Subject)
			require.Equal(t, string(first[i].Body), string(again.Body))
		}
		require.Equal(t, proto.ChatNotFound, first[0].Err.Code)
		for _, reply := range first[1:] {
			require.Nil(t, reply.Err)
		}
	}
	onBoth(t, test)
	t.Run("embedded", func(t *testing.T) {
		mini := miniredis.RunT(t)
		test(t, &servicestest.Redis{URL: "redis://" + mini.Addr(), Addr: mini.Addr()})
	})
}

// Redis loses the records: the rows are idempotent by themselves, so that what
// runs again changes nothing.
func TestAdminAfterTheRecordsAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	caller := servicestest.NewHost(t, "caller", w.nats, nil)
	add := func() services.Reply {
		t.Helper()
		reply, err := caller.Request(t.Context(), proto.AddMembers.Subject, proto.Actor{Backend: true}, []byte(`{"chatId":"c","userId":"bob"}`),
			services.WithRow(proto.AddMembers.Row), services.WithIdempotencyKey("k"))
		require.NoError(t, err)
		return reply
	}
	a.chat(t, "c", "ann")
	require.Contains(t, string(add().Body), `"version":2,"memberCount":2,"changed":1`)
	flush(t, w.redis)
	servicestest.Eventually(t, 10*time.Second, "the state is rebuilt", func() bool { return add().Err == nil })
	require.Contains(t, string(add().Body), `"version":2,"memberCount":2,"changed":0`)
}
