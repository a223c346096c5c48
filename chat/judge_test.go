package chat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

var sentAt = proto.At(time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC))

func after(d time.Duration) proto.Timestamp { return proto.At(sentAt.Add(d)) }

// sentBy is a message of ann's, sent at sentAt.
func sentBy(change ...func(*target)) *target {
	t := &target{seq: 3, sent: proto.NewMessage{Message: proto.Message{
		ID: "m", ChatID: "c", SenderID: "ann", EncryptedContent: "one", Metadata: proto.Raw(`{"k":1}`), Mentions: []string{"bob"}, CreatedAt: sentAt, Seq: 3,
	}}}
	for _, fn := range change {
		fn(t)
	}
	return t
}

func editedTo(content string, version uint64) func(*target) {
	return func(t *target) {
		t.newest = &revision{edited: &proto.MessageEdited{EncryptedContent: content, Metadata: proto.Raw(`{"k":1}`), Mentions: []string{"bob"}, EditedAt: after(time.Minute), Version: version}}
	}
}

func deletedBefore(t *target) {
	t.newest = &revision{deleted: &proto.MessageDeleted{DeletedAt: after(time.Minute), ForEveryone: true}}
}

func expiresIn(d time.Duration) func(*target) {
	return func(t *target) { t.sent.Message.ExpiresAt = new(after(d)) }
}

func TestWhoMayEdit(t *testing.T) {
	t.Parallel()
	const window = time.Hour
	for _, c := range []struct {
		name    string
		target  *target
		user    string
		window  time.Duration
		at      time.Duration
		req     proto.EditReq
		code    proto.Code // "": allowed
		version uint64     // 0: nothing is stored
	}{
		{name: "the sender", target: sentBy(), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two"}, version: 2},
		{name: "again", target: sentBy(editedTo("two", 2)), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "three"}, version: 3},
		{name: "back to the first", target: sentBy(editedTo("two", 2)), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "one"}, version: 3},
		{name: "the same as sent", target: sentBy(), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "one"}},
		{name: "the same as edited", target: sentBy(editedTo("two", 2)), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two", Metadata: proto.Raw(`{"k":1}`)}},
		{name: "the same, too late", target: sentBy(editedTo("two", 2)), user: "ann", window: window, at: 2 * window, req: proto.EditReq{EncryptedContent: "two"}},
		{name: "other metadata", target: sentBy(), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "one", Metadata: proto.Raw(`{}`)}, version: 2},
		{name: "null metadata is none", target: sentBy(), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "one", Metadata: proto.Raw(`null`)}},
		{name: "no mentions any more", target: sentBy(), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "one", Mentions: []string{}}, version: 2},
		{name: "another", target: sentBy(), user: "bob", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two"}, code: proto.PermissionDenied},
		{name: "just in time", target: sentBy(), user: "ann", window: window, at: window - time.Millisecond, req: proto.EditReq{EncryptedContent: "two"}, version: 2},
		{name: "too late", target: sentBy(), user: "ann", window: window, at: window, req: proto.EditReq{EncryptedContent: "two"}, code: proto.PermissionDenied},
		{name: "never", target: sentBy(), user: "ann", window: 0, at: -time.Second, req: proto.EditReq{EncryptedContent: "two"}, code: proto.PermissionDenied},
		{name: "deleted", target: sentBy(deletedBefore), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two"}, code: proto.MessageNotFound},
		{name: "deleted, another", target: sentBy(deletedBefore), user: "bob", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two"}, code: proto.MessageNotFound},
		{name: "expired", target: sentBy(expiresIn(time.Minute)), user: "ann", window: window, at: time.Minute, req: proto.EditReq{EncryptedContent: "two"}, code: proto.MessageNotFound},
		{name: "not yet expired", target: sentBy(expiresIn(time.Minute)), user: "ann", window: window, at: time.Second, req: proto.EditReq{EncryptedContent: "two"}, version: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := editing{user: c.user, req: &c.req, window: c.window, now: after(c.at)}
			event, at, err := e.judge(c.target)
			if c.code != "" {
				requireCode(t, c.code, err)
				require.Nil(t, event)
				return
			}
			require.NoError(t, err)
			if c.version == 0 {
				require.Nil(t, event)
				return
			}
			require.Equal(t, c.version, event.Version)
			require.Equal(t, c.req.EncryptedContent, event.EncryptedContent)
			require.Equal(t, uint64(3), event.Seq)
			require.Equal(t, e.now, at)
			if c.req.Metadata == nil {
				require.JSONEq(t, `{"k":1}`, string(event.Metadata), "what is absent stays")
			}
			if c.req.Mentions == nil {
				require.Equal(t, []string{"bob"}, event.Mentions)
			} else {
				require.Empty(t, event.Mentions)
			}
		})
	}
}

func TestWhoMayDelete(t *testing.T) {
	t.Parallel()
	const window = time.Hour
	for _, c := range []struct {
		name   string
		target *target
		user   string
		role   proto.Role
		window time.Duration
		at     time.Duration
		code   proto.Code
		reason string // "": nothing is stored
		gone   time.Duration
	}{
		{name: "the sender", target: sentBy(), user: "ann", role: proto.RoleMember, window: window, at: time.Minute, reason: proto.ReasonDeleted},
		{name: "what was edited", target: sentBy(editedTo("two", 2)), user: "ann", role: proto.RoleMember, window: window, at: time.Minute, reason: proto.ReasonDeleted},
		{name: "too late", target: sentBy(), user: "ann", role: proto.RoleMember, window: window, at: window, code: proto.PermissionDenied},
		{name: "never", target: sentBy(), user: "ann", role: proto.RoleMember, at: -time.Second, code: proto.PermissionDenied},
		{name: "an admin's own, late", target: sentBy(), user: "ann", role: proto.RoleAdmin, window: window, at: 2 * window, reason: proto.ReasonDeleted},
		{name: "another", target: sentBy(), user: "bob", role: proto.RoleMember, window: window, at: time.Minute, code: proto.PermissionDenied},
		{name: "an admin, late", target: sentBy(), user: "bob", role: proto.RoleAdmin, window: window, at: 2 * window, reason: proto.ReasonModerated},
		{name: "an owner", target: sentBy(), user: "bob", role: proto.RoleOwner, at: time.Minute, reason: proto.ReasonModerated},
		{name: "again, late", target: sentBy(deletedBefore), user: "ann", role: proto.RoleMember, window: window, at: 2 * window, gone: time.Minute},
		{name: "again, another", target: sentBy(deletedBefore), user: "bob", role: proto.RoleMember, window: window, at: time.Hour, code: proto.PermissionDenied},
		{name: "expired", target: sentBy(expiresIn(5 * time.Second)), user: "ann", role: proto.RoleMember, window: window, at: time.Minute, gone: 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := deleting{user: c.user, role: c.role, window: c.window, now: after(c.at)}
			event, at, err := d.judge(c.target)
			if c.code != "" {
				requireCode(t, c.code, err)
				return
			}
			require.NoError(t, err)
			if c.reason == "" {
				require.Nil(t, event)
				require.Equal(t, after(c.gone), at)
				return
			}
			require.Equal(t, &proto.MessageDeleted{
				ChatID: "c", MessageID: "m", Seq: 3, DeletedAt: d.now, DeletedBy: c.user, Reason: c.reason, ForEveryone: true,
			}, event)
			require.Equal(t, d.now, at)
		})
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		target *target
		at     time.Duration
		event  bool
		left   time.Duration
	}{
		{"no end", sentBy(), time.Hour, false, 0},
		{"not yet", sentBy(expiresIn(time.Minute)), time.Second, false, 59 * time.Second},
		{"now", sentBy(expiresIn(time.Minute)), time.Minute, true, 0},
		{"edited", sentBy(expiresIn(time.Minute), editedTo("two", 2)), time.Hour, true, 0},
		{"deleted before", sentBy(expiresIn(time.Minute), deletedBefore), time.Hour, false, 0},
	} {
		event, left := c.target.overdue(after(c.at).Time)
		require.Equal(t, c.event, event != nil, c.name)
		require.Equal(t, c.left, left, c.name)
		if event != nil {
			require.Equal(t, proto.ReasonExpired, event.Reason)
			require.Equal(t, after(time.Minute), event.DeletedAt, "when its time was over, not when that was seen")
		}
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	body := func(tt *target) []byte { return appendNewMessage(nil, &tt.sent.Message, &tt.sent.Sender) }
	plain := body(sentBy())
	got, err := presentBody(plain, nil, sentAt.Time)
	require.NoError(t, err)
	require.Equal(t, plain, got, "untouched")

	short := body(sentBy(expiresIn(time.Minute)))
	got, err = presentBody(short, nil, sentAt.Time)
	require.NoError(t, err)
	require.Equal(t, short, got)
	got, err = presentBody(short, nil, after(time.Minute).Time)
	require.NoError(t, err)
	m := decode(t, got).Message
	require.Empty(t, m.EncryptedContent)
	require.Equal(t, new(after(time.Minute)), m.DeletedAt)
	require.NotContains(t, string(got), "metadata")
	require.NotContains(t, string(got), "mentions")
	require.Equal(t, []any{"ann", uint64(3)}, []any{m.SenderID, m.Seq}, "it keeps its place")

	// Metadata that looks like an end is none.
	odd := sentBy()
	odd.sent.Message.Metadata = proto.Raw(`{"a":1,"expiresAt":"2000-01-01T00:00:00.000Z"}`)
	got, err = presentBody(body(odd), nil, sentAt.Time)
	require.NoError(t, err)
	require.Equal(t, body(odd), got)
}
