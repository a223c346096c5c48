package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

// town is a log, what chat and presence say, and what was decided.
type town struct {
	t      *testing.T
	nats   *servicestest.NATS
	writer *services.Host

	mu        sync.Mutex
	members   []string
	reached   map[string]uint64 // user → seq
	author    string            // of every message that is asked for
	deleted   bool
	reach     map[string]proto.Reach
	prefs     map[string]decide.Prefs
	read      int                // notifications are read from this look on, the first being 1; 0: never
	looks     int                // at whether one is unread
	shown     map[string]float64 // user and collapse key → newest push, and a half where it is taken back
	notices   []proto.NotifyReq
	cleared   []string            // "user message type key"
	mentions  map[string][]string // of each message, as of now
	keys      map[string]int
	failing   error
	failAfter int // pushes
	killAfter int // pushes
	kill      func()
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{t: t, nats: servicestest.RunNATS(t), reached: map[string]uint64{}, reach: map[string]proto.Reach{}, prefs: map[string]decide.Prefs{}, keys: map[string]int{}, shown: map[string]float64{}, author: "bob", mentions: map[string][]string{}}
	w.writer = servicestest.NewHost(t, "chat", w.nats, nil)
	require.NoError(t, w.writer.EnsureStreams(t.Context(), true, proto.Events, proto.Receipts, proto.Work))
	w.writer.Serve(
		services.On(proto.UnreachedMembers, w.unreached, services.Unordered()), services.On(proto.FindMessage, w.find, services.Unordered()),
		services.On(proto.MembersAmong, w.among, services.Unordered()), services.On(proto.ReachUsers, w.reaches, services.Unordered()),
	)
	servicestest.Run(t, w.writer, servicestest.Service{})
	return w
}

func (w *town) unreached(_ context.Context, req proto.UnreachedReq) (res proto.UnreachedRes, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	res.Name = "Family"
	for _, user := range w.members {
		switch {
		case user <= req.After:
		case len(res.UserIDs) == 2: // small pages
			res.Next = res.UserIDs[1]
			return res, nil
		case w.reached[user] < req.Seq:
			res.UserIDs, res.Unread = append(res.UserIDs, user), append(res.Unread, req.Seq-w.reached[user])
		}
	}
	return res, nil
}

func (w *town) find(_ context.Context, req proto.FindMessageReq) (proto.FindMessageRes, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return proto.FindMessageRes{ChatID: req.ChatID, SenderID: w.author, Seq: 1, Deleted: w.deleted, SenderName: "Ann", Mentions: w.mentions[req.MessageID]}, nil
}

func (w *town) among(_ context.Context, req proto.AmongReq) (res proto.AmongRes, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, user := range req.UserIDs {
		if slices.Contains(w.members, user) {
			res.Members = append(res.Members, user)
		}
	}
	return res, nil
}

func (w *town) reaches(_ context.Context, req proto.ReachReq) (res proto.ReachRes, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, user := range req.UserIDs {
		r := w.reach[user]
		r.UserID = user
		res.Users = append(res.Users, r)
	}
	return res, nil
}

func (w *town) Notify(_ context.Context, req *proto.NotifyReq) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing != nil {
		return w.failing
	}
	w.notices = append(w.notices, *req)
	return nil
}

func (w *town) Clear(_ context.Context, user, messageID string, t proto.NotificationType, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleared = append(w.cleared, fmt.Sprint(user, " ", messageID, " ", t, " ", key))
	return nil
}

func (w *town) Prefs(_ context.Context, users []string) ([]decide.Prefs, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]decide.Prefs, len(users))
	for i, user := range users {
		p, ok := w.prefs[user]
		if !ok {
			p.Devices = []decide.Device{{ID: "phone", Provider: proto.PushFCM}}
		}
		out[i] = p
	}
	return out, nil
}

func (w *town) Unread(context.Context, string, string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return w.read == 0 || w.looks < w.read, nil
}

func (w *town) Shown(_ context.Context, user, key string) (position uint64, withdrawn bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	score := w.shown[user+" "+key]
	return uint64(score), score > float64(uint64(score)), nil
}

func (w *town) MessageAt(ctx context.Context, position uint64) (*proto.NewMessage, error) {
	stream, err := w.writer.JetStream().Stream(ctx, proto.Events.Name)
	if err != nil {
		return nil, err
	}
	m, err := stream.GetMsg(ctx, position)
	if err != nil {
		return nil, err
	}
	e, err := decide.EntryOf(m.Subject, m.Header.Get(proto.HeaderEvent), m.Sequence, m.Time, m.Data)
	if err != nil {
		return nil, err
	}
	return e.Message()
}

// Enqueue is the real queue: what is under one key stands there once.
func (w *town) Enqueue(ctx context.Context, p *proto.Push, key string) error {
	w.mu.Lock()
	w.keys[key]++
	score := float64(p.After)
	if p.Withdraw {
		score += 0.5
	}
	w.shown[p.UserID+" "+p.CollapseKey] = max(w.shown[p.UserID+" "+p.CollapseKey], score)
	err := w.failing
	if w.killAfter > 0 {
		if w.killAfter--; w.killAfter == 0 {
			defer w.kill() // it is queued, and no ack will come
		}
	}
	if w.failAfter > 0 {
		if w.failAfter--; w.failAfter == 0 {
			w.failing = errors.New("the queue is away")
		}
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	body, err := wire.Marshal(p)
	if err != nil {
		return err
	}
	_, err = w.writer.JetStream().PublishMsg(ctx, &nats.Msg{Subject: proto.PushJobs.Subject, Data: body}, jetstream.WithMsgID(key))
	return err
}

// decider is a running one; it is there when its consumers are.
func (w *town) decider(after time.Duration) (stop func() error) {
	w.t.Helper()
	h := servicestest.NewHost(w.t, "notify", w.nats, nil)
	w.set(func() { w.kill = h.NATS().Close })
	stop = servicestest.Run(w.t, h, servicestest.Service{})
	require.NoError(w.t, Start(h, w, after))
	for _, f := range []services.Follow{atOnce, afterAWhile, whenRead} {
		servicestest.Eventually(w.t, 10*time.Second, f.Name+" is there", func() bool {
			_, err := w.writer.JetStream().Consumer(w.t.Context(), f.Stream.Name, f.Name)
			return err == nil
		})
	}
	return stop
}

func (w *town) store(subject, event string, body any) uint64 {
	w.t.Helper()
	b, err := wire.Marshal(body)
	require.NoError(w.t, err)
	ack, err := w.writer.JetStream().PublishMsg(w.t.Context(), &nats.Msg{Subject: subject, Data: b, Header: nats.Header{proto.HeaderEvent: {event}}})
	require.NoError(w.t, err)
	return ack.Sequence
}

func (w *town) say(chat string, seq uint64, change ...func(*proto.Message)) {
	w.t.Helper()
	token, err := proto.EncodeID(chat)
	require.NoError(w.t, err)
	m := proto.NewMessage{Message: proto.Message{ID: fmt.Sprintf("msg_%s_%d", chat, seq), ChatID: chat, SenderID: "ann", EncryptedContent: "SECRET", Seq: seq}, Sender: proto.Sender{ID: "ann", Username: "Ann"}}
	for _, fn := range change {
		fn(&m.Message)
	}
	w.set(func() { w.mentions[m.Message.ID] = m.Message.Mentions })
	w.store(proto.ChatLog(token, proto.KindMessage), proto.MessageNew.Name, m)
}

// queued is the pushes in the queue, in its order.
func (w *town) queued() (out []proto.Push) {
	w.t.Helper()
	stream, err := w.writer.JetStream().Stream(w.t.Context(), proto.Work.Name)
	require.NoError(w.t, err)
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; state.Msgs > 0 && seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(w.t.Context(), seq)
		require.NoError(w.t, err)
		var p proto.Push
		require.NoError(w.t, wire.Restore(m.Data, &p))
		out = append(out, p)
	}
	return out
}

func (w *town) settled() {
	w.t.Helper()
	for _, f := range []services.Follow{atOnce, afterAWhile, whenRead} {
		// The server confirms an entry a moment before its consumers count the entry as
		// pending: one look is not enough.
		looks := 0
		servicestest.Eventually(w.t, 60*time.Second, f.Name+" has done everything", func() bool {
			c, err := w.writer.JetStream().Consumer(w.t.Context(), f.Stream.Name, f.Name)
			if looks++; err != nil || c.CachedInfo().NumPending > 0 || c.CachedInfo().NumAckPending > 0 {
				looks = 0
			}
			return looks == 20
		})
	}
}

func (w *town) made() []proto.NotifyReq {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notices)
}

func (w *town) set(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

func connected(device string) proto.Reach {
	return proto.Reach{Sockets: []proto.ReachSocket{{DeviceID: device, State: proto.SessionConnected}}}
}

func TestMessagesArePushedToWhomTheyDoNotReach(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat", "dan", "eve", "fay"}
	w.prefs["dan"] = decide.Prefs{Devices: []decide.Device{{ID: "phone", Provider: proto.PushFCM}}, Muted: []proto.Mute{{ChatID: "c", Muted: true}}}
	w.prefs["eve"] = decide.Prefs{}
	w.reach["fay"] = proto.Reach{Busy: true}
	w.decider(300 * time.Millisecond)
	w.say("c", 1)
	w.set(func() { w.reached["bob"] = 1 }) // before its time has come
	w.settled()
	got := w.queued()
	require.Len(t, got, 2)
	require.Equal(t, []string{"cat", "fay"}, []string{got[0].UserID, got[1].UserID})
	require.True(t, got[0].Sound)
	require.False(t, got[1].Sound)
	require.Equal(t, "Family", got[0].Title)
	require.Equal(t, 1, got[0].Badge)
	require.False(t, time.Now().Before(got[0].CreatedAt.Add(300*time.Millisecond)))

	w.set(func() { w.deleted = true })
	w.say("c", 2)
	w.settled()
	require.Len(t, w.queued(), 2, "it is gone")
	require.Empty(t, w.made())
}

func TestMentionsRepliesReactionsInvites(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat"}
	w.decider(100 * time.Millisecond)
	w.say("c", 1, func(m *proto.Message) { m.Mentions = []string{"cat", "left", "ann"} })
	w.say("c", 2, func(m *proto.Message) { m.ReplyToID = "msg_c_0" })
	w.store(proto.ChatLog("c", proto.KindReaction), proto.ReactionEvent.Name, proto.Reaction{MessageID: "msg_c_2", ChatID: "c", UserID: "bob", Reaction: "👍", Action: proto.ReactionAdd, Author: "ann"})
	w.store(proto.ChatLog("c", proto.KindMeta), proto.MemberJoinedEvent.Name, proto.MemberJoined{ChatID: "c", UserID: "cat", Kind: proto.KindMembership, AddedBy: "ann"})
	w.store(proto.ChatLog("c", proto.KindMeta), proto.MemberJoinedEvent.Name, proto.MemberJoined{ChatID: "c", UserID: "gone since", Kind: proto.KindMembership, AddedBy: "ann"})
	w.settled()
	var is []string
	for _, n := range w.made() {
		require.NoError(t, n.Validate())
		is = append(is, fmt.Sprint(n.Type, " ", n.UserIDs))
	}
	require.Equal(t, []string{"mention [cat]", "reply [bob]", "message_reaction [ann]", "chat_invite [cat]"}, is, "in the order of the chat")
	var users []string
	for _, p := range w.queued() {
		users = append(users, fmt.Sprint(p.MessageID, " ", p.UserID))
	}
	require.Equal(t, []string{"msg_c_1 bob", "msg_c_2 cat"}, users, "who is notified gets no push for the message too")
}

func TestCallsArePushedAtOnce(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.reach["bob"] = connected("phone")
	w.decider(time.Hour)
	call := proto.IncomingCall{CallID: "k", CallerID: "ann", CallType: proto.CallAudio, CreatedAt: proto.At(time.Now()), ExpiresAt: proto.At(time.Now().Add(time.Minute))}
	w.store(proto.UserRing("bob"), proto.IncomingCallEvent.Name, call)
	w.store(proto.UserRing("bob"), proto.CallEndEvent.Name, proto.CallEnd{CallID: "k"})
	call.CallID, call.ExpiresAt = "late", proto.At(time.Now().Add(-time.Second))
	w.store(proto.UserRing("bob"), proto.IncomingCallEvent.Name, call)
	servicestest.Eventually(t, 10*time.Second, "it rings and stops", func() bool { return len(w.queued()) == 2 })
	got := w.queued()
	require.False(t, got[0].Withdraw)
	require.True(t, got[1].Withdraw)
	require.Equal(t, got[0].CollapseKey, got[1].CollapseKey)
	require.Less(t, got[0].After, got[1].After)
	require.Equal(t, call.CreatedAt.Add(time.Minute).Truncate(time.Second), got[0].ExpiresAt.Truncate(time.Second))
}

func TestNotificationsArePushedToWhoHasNotGotThem(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.reach["here"], w.reach["both"] = connected("phone"), connected("desk")
	w.prefs["both"] = decide.Prefs{Devices: []decide.Device{{ID: "phone", Provider: proto.PushFCM}, {ID: "desk", Provider: proto.PushWeb}}, Unread: 4}
	const after = 700 * time.Millisecond
	w.decider(after)
	began := time.Now()
	for _, user := range []string{"away", "here", "both"} {
		w.store(proto.UserNotices(proto.Token(user)), proto.NotificationEvent.Name, proto.Notification{ID: "ntf_" + user, Type: proto.NotifyMention, Title: "t", FromUserID: "ann"})
		w.store(proto.UserNotices(proto.Token(user)), "", map[string]any{"read": []string{}})
	}
	servicestest.Eventually(t, 10*time.Second, "who is not there is pushed to", func() bool { return len(w.queued()) == 1 })
	if time.Since(began) < after {
		require.Equal(t, "away", w.queued()[0].UserID)
	}
	w.settled()
	got := w.queued()
	require.Len(t, got, 2, "the first only once, and who is there has it")
	require.Equal(t, []string{"both", "phone", "4"}, []string{got[1].UserID, got[1].DeviceID, fmt.Sprint(got[1].Badge)})

	w.set(func() { w.read = 1 })
	w.store(proto.UserNotices("away"), proto.NotificationEvent.Name, proto.Notification{ID: "ntf_2", Type: proto.NotifyMention, Title: "t"})
	w.settled()
	require.Len(t, w.queued(), 2, "it has been read")
}

// Presence is away: pushes go out all the same.
func TestWithoutPresence(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob"}
	h := servicestest.NewHost(t, "alone", w.nats, nil)
	servicestest.Run(t, h, servicestest.Service{})
	users := []decide.User{{ID: "bob"}}
	d := &Decider{host: h}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.look(ctx, "ann", users)
	require.Equal(t, []decide.User{{ID: "bob"}}, users)
}

// A message that is read on one device is taken back from the others, once, and not
// before what was pushed last is read.
func TestWhatIsReadIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "cat"}
	w.prefs["cat"] = decide.Prefs{Unread: 2, Devices: []decide.Device{
		{ID: "phone", Provider: proto.PushFCM}, {ID: "tablet", Provider: proto.PushAPNs}, {ID: "tablet", Provider: proto.PushAPNs, VoIP: true},
	}}
	w.decider(50 * time.Millisecond)
	receipt := func(chat string, read uint64) {
		t.Helper()
		body, err := wire.Marshal(map[string]any{"devices": map[string]uint64{"phone": 9}, "read": read})
		require.NoError(t, err)
		_, err = w.writer.JetStream().Publish(t.Context(), proto.ReceiptLog(proto.Token(chat), "cat"), body)
		require.NoError(t, err)
		w.settled()
	}
	w.say("c", 1)
	w.say("c", 2)
	w.settled()
	require.Len(t, w.queued(), 4)
	receipt("c", 0)
	receipt("c", 1)
	receipt("d", 9)
	require.Len(t, w.queued(), 4, "the second is unread")
	receipt("c", 2)
	got := w.queued()
	require.Len(t, got, 6)
	for i, device := range []string{"phone", "tablet"} {
		p := got[4+i]
		require.True(t, p.Withdraw)
		require.Equal(t, []string{"cat", device, got[3].CollapseKey}, []string{p.UserID, p.DeviceID, p.CollapseKey})
		require.Equal(t, got[3].After, p.After, "it comes right after what it takes back")
		require.Equal(t, 2, p.Badge)
		require.Equal(t, 24*time.Hour, p.ExpiresAt.Sub(p.CreatedAt.Time), "as long as the push may be shown")
	}
	receipt("c", 3)
	require.Len(t, w.queued(), 6, "it is taken back already")

	// What was pushed last is a notification: reading the chat does not read it.
	at := w.store(proto.UserNotices("cat"), proto.NotificationEvent.Name, proto.Notification{ID: "ntf_1", Type: proto.NotifyMention, Title: "t", ChatID: "c", CollapseKey: "chat:c"})
	w.settled()
	require.Equal(t, at, w.queued()[7].After)
	receipt("c", 4)
	require.Len(t, w.queued(), 8)
	_, err := w.writer.JetStream().Publish(t.Context(), proto.ReceiptLog("c", "cat"), []byte("no"))
	require.NoError(t, err)
	w.settled()
}

// A notification is read while its push is being decided, too late to be seen and too
// early for the push to be known: it is taken back.
func TestReadWhileItIsPushed(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.read = 2
	w.decider(50 * time.Millisecond)
	w.store(proto.UserNotices("away"), proto.NotificationEvent.Name, proto.Notification{ID: "ntf_1", Type: proto.NotifyMention, Title: "t"})
	w.settled()
	got := w.queued()
	require.Len(t, got, 2)
	require.Equal(t, []bool{false, true}, []bool{got[0].Withdraw, got[1].Withdraw})
	require.Equal(t, got[0].CollapseKey, got[1].CollapseKey)
}

// What was pushed at once is not pushed once more later, also where the queue has
// forgotten it meanwhile.
func TestPushedOnce(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.reach["ann"] = connected("desk")
	w.decider(50 * time.Millisecond)
	n := proto.Notification{ID: "ntf_1", Type: proto.NotifyMention, Title: "t", CollapseKey: "k"}
	w.shown["ann k"] = 1
	require.Equal(t, uint64(1), w.store(proto.UserNotices("ann"), proto.NotificationEvent.Name, n))
	w.settled()
	require.Empty(t, w.queued())
	n.ID = "ntf_2"
	w.store(proto.UserNotices("ann"), proto.NotificationEvent.Name, n)
	w.settled()
	require.Len(t, w.queued(), 1)
}
