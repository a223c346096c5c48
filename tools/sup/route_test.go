package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row          proto.Row
		ids          []string
		method, path string
	}{
		{proto.PutChat.Row, []string{"room"}, "PUT", "/v1/chats/room"},
		{proto.GetChat.Row, []string{"a/b ?#"}, "GET", "/v1/chats/a%2Fb%20%3F%23"},
		{proto.AddMembers.Row, []string{"room"}, "POST", "/v1/chats/room/members"},
		{proto.RemoveMember.Row, []string{"room", "../x"}, "DELETE", "/v1/chats/room/members/..%2Fx"},
	} {
		method, path := route(c.row, c.ids...)
		require.Equal(t, c.method, method)
		require.Equal(t, c.path, path)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	require.Equal(t, []proto.Member{{UserID: "alice"}, {UserID: "bob", Role: proto.RoleAdmin}, {UserID: "urn:x:1"}},
		members([]string{"alice", "bob:admin", "urn:x:1"}))
}
