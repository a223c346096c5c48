package chat

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// eph hears what is sent to those who have a chat open.
type eph struct {
	t   testing.TB
	sub *nats.Subscription
	nc  *nats.Conn
}

func (w *world) eph(t testing.TB, chat string) *eph {
	t.Helper()
	nc := w.nats.Connect()
	token, err := proto.EncodeID(chat)
	require.NoError(t, err)
	sub, err := nc.SubscribeSync(proto.ChatEph(token))
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return &eph{t, sub, nc}
}

// next is the next event: its name, its user and its kind.
func (e *eph) next() string {
	e.t.Helper()
	m, err := e.sub.NextMsg(20 * time.Second)
	require.NoError(e.t, err)
	var body struct {
		ChatID, UserID, Kind string
		Timestamp            proto.Timestamp
	}
	require.NoError(e.t, json.Unmarshal(m.Data, &body))
	require.Equal(e.t, proto.KindActive, body.Kind)
	require.False(e.t, body.Timestamp.IsZero())
	token, err := proto.EncodeID(body.UserID)
	require.NoError(e.t, err)
	require.Equal(e.t, string(token), m.Header.Get(proto.HeaderUser), "whose own sockets are left out")
	return m.Header.Get(proto.HeaderEvent) + " " + body.UserID
}

func (e *eph) quiet() {
	e.t.Helper()
	require.NoError(e.t, e.nc.Flush())
	n, _, err := e.sub.Pending()
	require.NoError(e.t, err)
	require.Zero(e.t, n)
}

func views(chat string, socketOf ...string) (out []proto.View) {
	for i := 0; i < len(socketOf); i += 2 {
		out = append(out, proto.View{ChatID: chat, UserID: socketOf[i], SocketID: socketOf[i+1]})
	}
	return out
}

func (i *instance) tell(t testing.TB, req proto.ViewReq) proto.ViewRes {
	t.Helper()
	require.NoError(t, req.Validate())
	res, err := i.view(by(t, proto.Actor{Gateway: "g"}), req)
	require.NoError(t, err)
	return res
}

func (i *instance) actives(t testing.TB, user, chat string) []string {
	t.Helper()
	res, err := i.activeMembers(as(t, user), proto.ActiveMembersReq{ChatID: chat})
	require.NoError(t, err)
	require.Len(t, res.ActiveMembers, res.Count)
	return res.ActiveMembers
}

func TestViewersAreTold(t *testing.T) {
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		const chat = "a chat: with.odd * characters"
		a.chat(t, chat, "ann", "bob", "ein Name")
		heard := w.eph(t, chat)

		a.tell(t, proto.ViewReq{Gateway: "g1", Began: views(chat, "ann", "s1", "bob", "s2")})
		require.Equal(t, "chat:member-joined ann", heard.next())
		require.Equal(t, "chat:member-joined bob", heard.next())
		b.tell(t, proto.ViewReq{Gateway: "g2", Began: views(chat, "ann", "s3", "ein Name", "s4")})
		require.Equal(t, "chat:member-joined ein Name", heard.next(), "ann views already")
		b.tell(t, proto.ViewReq{Gateway: "g2", Began: views(chat, "ann", "s3")})
		require.ElementsMatch(t, []string{"ann", "bob", "ein Name"}, a.actives(t, "bob", chat))

		res := a.tell(t, proto.ViewReq{Gateway: "g1", Began: views(chat, "eve", "s5")})
		require.Equal(t, views(chat, "eve", "s5"), res.Refused)
		_, err := a.activeMembers(as(t, "eve"), proto.ActiveMembersReq{ChatID: chat})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.activeMembers(as(t, "bob"), proto.ActiveMembersReq{ChatID: "no such chat"})
		requireCode(t, proto.ChatNotFound, err)

		// One gateway has moved a socket of ann's in one request: what ended comes first.
		a.tell(t, proto.ViewReq{Gateway: "g1", Ended: views(chat, "ann", "s1", "bob", "s2")})
		require.Equal(t, "chat:member-left bob", heard.next())
		b.tell(t, proto.ViewReq{Gateway: "g2", Quiet: true, Ended: views(chat, "ein Name", "s4")})
		b.tell(t, proto.ViewReq{Gateway: "g2", Ended: views(chat, "ann", "s3")})
		require.Equal(t, "chat:member-left ann", heard.next())
		heard.quiet()
		require.Empty(t, b.actives(t, "ann", chat))
	})
}

func TestRemovedIsNotActive(t *testing.T) {
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.tell(t, proto.ViewReq{Gateway: "g", Began: views("c", "ann", "s1", "bob", "s2")})
	_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob"})
	require.NoError(t, err)
	require.Equal(t, []string{"ann"}, a.actives(t, "ann", "c"), "before its gateway has said so")
	require.Len(t, a.tell(t, proto.ViewReq{Gateway: "g", Began: views("c", "bob", "s3")}).Refused, 1, "a late join of the removed")
}

func TestJoinSaysTheVersion(t *testing.T) {
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	for i := range 3 {
		a.chat(t, fmt.Sprint("c", i), "ann")
	}
	a.chat(t, "other", "bob")
	added := func() uint64 {
		res, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c1", UserID: "bob"})
		require.NoError(t, err)
		return res.Version
	}()
	one, err := a.join(as(t, "ann"), proto.JoinChatReq{ChatID: "c1"})
	require.NoError(t, err)
	require.Equal(t, added, one.Version)

	res, err := a.joinMultiple(as(t, "ann"), proto.JoinChatsReq{ChatIDs: []string{"c0", "other", "c1", "no such", "c0"}})
	require.NoError(t, err)
	require.Equal(t, proto.JoinChatsRes{
		JoinedCount: 2, Joined: []string{"c0", "c1"}, Versions: []uint64{1, 2},
		Failed: []proto.FailedJoin{{ChatID: "other", Code: proto.ChatNotFound}, {ChatID: "no such", Code: proto.ChatNotFound}},
	}, res)

	w.cfg.ChatPolicy = PolicyOpen
	open := w.instance()
	res, err = open.joinMultiple(as(t, "ann"), proto.JoinChatsReq{ChatIDs: []string{"new", "c2"}})
	require.NoError(t, err)
	require.Equal(t, 2, res.JoinedCount, "%v", res)
}

// TestDeadGatewayIsSwept: a gateway that says nothing any more loses its viewers,
// one that goes on keeps them, and of several instances one tells it.
func TestDeadGatewayIsSwept(t *testing.T) {
	w := newWorld(t, servicestest.RunRedis(t))
	short := func(s *Service) { s.viewing = viewing.New(s.host.Redis()).WithLease(3 * time.Second) }
	a, b := w.instance(short), w.instance(short)
	var users []string
	var sockets []string
	for i := range 40 {
		users = append(users, name(i))
		sockets = append(sockets, name(i), fmt.Sprint("s", i))
	}
	a.chat(t, "c", users...)
	renew := func(gateway string, begin bool) proto.LeaseRes {
		res, err := b.lease(by(t, proto.Actor{Gateway: gateway}), proto.LeaseReq{Gateway: gateway, Begin: begin})
		require.NoError(t, err)
		return res
	}
	require.True(t, renew("dies", true).Known)
	require.True(t, renew("lives", true).Known)
	heard := w.eph(t, "c")
	a.tell(t, proto.ViewReq{Gateway: "dies", Quiet: true, Began: views("c", sockets...)})
	a.tell(t, proto.ViewReq{Gateway: "lives", Quiet: true, Began: views("c", name(0), "other")})
	left := map[string]bool{}
	servicestest.Eventually(t, 20*time.Second, "39 users leave", func() bool {
		require.True(t, renew("lives", false).Known)
		for {
			m, err := heard.sub.NextMsg(time.Millisecond)
			if err != nil {
				return len(left) == 39
			}
			var gone proto.MemberLeft
			require.NoError(t, json.Unmarshal(m.Data, &gone))
			require.Equal(t, proto.MemberLeftEvent.Name, m.Header.Get(proto.HeaderEvent))
			require.False(t, left[gone.UserID], "%s leaves once", gone.UserID)
			left[gone.UserID] = true
		}
	})
	require.False(t, left[name(0)])
	require.Equal(t, []string{name(0)}, a.actives(t, name(1), "c"))
	require.Equal(t, proto.LeaseRes{Swept: true}, renew("dies", false))

	// Redis loses everything: the gateway hears that it is not known, and tells again.
	require.NoError(t, w.redis.Client().FlushAll(t.Context()).Err())
	servicestest.Eventually(t, 10*time.Second, "the gateway is not known", func() bool { return !renew("lives", false).Known })
	require.False(t, renew("lives", false).Swept)
	require.True(t, renew("lives.1", true).Known)
	servicestest.Eventually(t, 10*time.Second, "its viewers are taken again", func() bool {
		res, err := a.view(by(t, proto.Actor{Gateway: "lives.1"}), proto.ViewReq{Gateway: "lives.1", Quiet: true, Began: views("c", name(0), "other")})
		return err == nil && len(res.Refused) == 0
	})
	require.Equal(t, []string{name(0)}, a.actives(t, name(1), "c"))
	heard.quiet()
	_, err := a.lease(by(t, proto.Actor{}), proto.LeaseReq{Gateway: "lives.1", End: true})
	require.NoError(t, err)
	require.Equal(t, "chat:member-left "+name(0), heard.next(), "what a stopped gateway left behind")
}

func TestViewingOnEmbeddedRedis(t *testing.T) {
	mini := miniredis.RunT(t)
	w := newWorld(t, &servicestest.Redis{URL: "redis://" + mini.Addr(), Addr: mini.Addr()})
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	res, err := a.lease(by(t, proto.Actor{}), proto.LeaseReq{Gateway: "g", Begin: true})
	require.NoError(t, err)
	require.True(t, res.Known)
	a.tell(t, proto.ViewReq{Gateway: "g", Began: views("c", "ann", "s1", "ann", "s2", "bob", "s3")})
	a.tell(t, proto.ViewReq{Gateway: "g", Ended: views("c", "ann", "s1", "bob", "s3")})
	require.Equal(t, []string{"ann"}, a.actives(t, "bob", "c"))
	mini.FastForward(time.Minute)
	servicestest.Eventually(t, 20*time.Second, "the dead gateway is swept", func() bool { return len(a.actives(t, "bob", "c")) == 0 })
}
