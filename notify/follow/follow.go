package follow

import (
	"context"
	"fmt"
	"time"

	"supmesh.dev/notify/decide"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Notify is what the service does with what is decided, and what it knows of users.
// INVALID_PAYLOAD and PAYLOAD_TOO_LARGE give the entry up; any other error has it
// tried again.
type Notify interface {
	// Notify makes notifications: one a (key, user), however often it is asked for.
	Notify(ctx context.Context, req *proto.NotifyReq) error
	// Enqueue queues a push: once under a key, as far as the queue's window goes.
	Enqueue(ctx context.Context, push *proto.Push, key string) error
	// Prefs is what users have set, in their order.
	Prefs(ctx context.Context, users []string) ([]decide.Prefs, error)
	// Clear removes a user's notifications of a type about a message, and takes back their
	// pushes: once a (user, key).
	Clear(ctx context.Context, user, messageID string, t proto.NotificationType, key string) error
	// Unread says whether a user's notification is there and not read.
	Unread(ctx context.Context, user, id string) (bool, error)
	// Shown is the newest push that was queued for a user under a collapse key: the
	// position as of which it was decided, 0 where none is known, and whether it is
	// taken back.
	Shown(ctx context.Context, user, collapseKey string) (position uint64, withdrawn bool, err error)
	// MessageAt is the message at a position of the log; nil where there is none.
	MessageAt(ctx context.Context, position uint64) (*proto.NewMessage, error)
}

// Decider turns entries of the log into notifications and pushes.
type Decider struct {
	host    *services.Host
	notify  Notify
	metrics metrics
}

// The followers: the names are of their consumers.
var (
	atOnce = services.Follow{
		Name: "notify-now", Stream: proto.Events, Key: owner, Purpose: "what is notified, and pushed, at once",
		Subjects: []string{
			proto.ChatLog("*", proto.KindMessage), proto.ChatLog("*", proto.KindReaction), proto.ChatLog("*", proto.KindMeta),
			proto.ChatLog("*", proto.KindEdit),
			proto.UserRing("*"), proto.UserCalls("*"), proto.UserNotices("*"),
		},
	}
	afterAWhile = services.Follow{
		Name: "notify-later", Stream: proto.Events, Key: owner, Purpose: "what is pushed where it has reached nobody",
		Subjects: []string{proto.ChatLog("*", proto.KindMessage), proto.UserNotices("*")},
	}
	whenRead = services.Follow{
		Name: "notify-read", Stream: proto.Receipts, Key: reader, Purpose: "pushes that are taken back where a chat has been read",
		Subjects: []string{proto.ReceiptLog("*", "*")}, Delay: readDelay,
	}
)

// readDelay lets pushes that are being decided, or sent, when their message is read be
// there before they are taken back.
const readDelay = 2 * time.Second

// Start follows the log as parts of the host. What is pushed only if nobody has got
// it waits that long. The streams EVENTS and RECEIPTS must exist.
func Start(host *services.Host, notify Notify, pushAfter time.Duration) error {
	d := &Decider{host: host, notify: notify}
	if err := d.metrics.register(host.Metrics()); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	later := afterAWhile
	later.Delay = pushAfter
	host.Follow(atOnce, d.handler(d.now))
	host.Follow(later, d.handler(d.later))
	host.Follow(whenRead, func(ctx context.Context, f services.Followed) error { return final(d.read(ctx, &f)) })
	return nil
}

// owner is the chat or the user that a subject is of.
func owner(subject string) string {
	if chat, _, err := proto.ParseChatSubject(subject); err == nil {
		return "c/" + string(chat)
	}
	user, _, err := proto.ParseUserSubject(subject)
	if err != nil {
		return subject
	}
	return "u/" + string(user)
}

func (d *Decider) handler(act func(context.Context, *decide.Entry) error) func(context.Context, services.Followed) error {
	return func(ctx context.Context, f services.Followed) error {
		e, err := decide.EntryOf(f.Subject, f.Event, f.Position, f.Stored, f.Body)
		if err != nil {
			return malformed(err)
		}
		return final(act(ctx, &e))
	}
}

// final gives up what somebody says is no request at all: it is none next time.
func final(err error) error {
	if hasCode(err, proto.InvalidPayload, proto.PayloadTooLarge) {
		return malformed(err)
	}
	return err
}

// malformed is an entry that cannot be read.
func malformed(err error) error { return fmt.Errorf("%w: %w", services.ErrMalformed, err) }

// now does what an entry asks for at once.
func (d *Decider) now(ctx context.Context, e *decide.Entry) error {
	switch e.Kind { //nolint:exhaustive // the others are not followed
	case proto.KindRing, proto.KindCalls:
		return d.ring(ctx, e)
	case proto.KindNotice:
		return d.notice(ctx, e, true)
	case proto.KindEdit:
		return d.edited(ctx, e)
	}
	return d.notices(ctx, e)
}

// later does what is to be done of an entry that has had its time.
func (d *Decider) later(ctx context.Context, e *decide.Entry) error {
	if e.Kind == proto.KindNotice {
		return d.notice(ctx, e, false)
	}
	return d.message(ctx, e)
}

// enqueue queues pushes.
func (d *Decider) enqueue(ctx context.Context, jobs []decide.Job) error {
	for i := range jobs {
		p := &jobs[i].Push
		if err := d.notify.Enqueue(ctx, p, jobs[i].Key); err != nil {
			return fmt.Errorf("enqueue push: %w", err)
		}
		d.metrics.pushed(p)
	}
	return nil
}
