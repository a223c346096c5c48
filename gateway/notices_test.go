package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// note stores a notification; withdrawn and the like have no event.
func (m *mesh) note(user, event, id string) {
	m.t.Helper()
	m.chat.publish(proto.UserNotices(token(m.t, user)), event, 0, "", []byte(`{"id":"`+id+`"}`))
}

// TestNotices: notifications come with an offset, also those that were stored while
// nobody listened, once and in order; what stands between them for services, and
// devices of push, does not come.
func TestNotices(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann, desk := m.plain("ann", "1"), m.socketIO("ann", "2")
	m.opened()
	m.note("ann", "notification:new", "n1")
	m.note("ann", "", "read n1")
	m.chat.publish(proto.UserPush(token(t, "ann")), "", 0, "", []byte(`{"devices":[]}`))
	m.chat.publish(proto.UserPush(token(t, "ann")), "push", 0, "", []byte(`{"devices":[]}`))
	m.note("ann", "notification:new", "n2")
	for _, c := range []*client{ann, desk} {
		require.Equal(t, `"n1"`, c.stored("notification:new"))
		require.Equal(t, `"n2"`, c.stored("notification:new"))
		c.quiet()
	}
	hear := m.deafenUser("ann")
	m.note("ann", "notification:new", "n3")
	m.note("ann", "", "read n3")
	m.ring("ann", "c1", time.Now().Add(time.Hour))
	hear()
	m.note("ann", "notification:new", "n4")
	require.Equal(t, `"n3"`, ann.stored("notification:new"))
	require.Equal(t, `"c1"`, ann.stored("call:incoming"))
	require.Equal(t, `"n4"`, ann.stored("notification:new"))
	m.repaired("ann")
	ann.quiet()
}
