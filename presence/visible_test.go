package presence

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMaySee(t *testing.T) {
	t.Parallel()
	stranger, contact := relations.Regard{}, relations.Regard{Contact: true}
	blocked, blockedContact := relations.Regard{Blocked: true}, relations.Regard{Contact: true, Blocked: true}
	for _, c := range []struct {
		regard              relations.Regard
		shared, listed, all sight // by policy
	}{
		{stranger, sightIfShared, sightDenied, sightAllowed},
		{contact, sightAllowed, sightAllowed, sightAllowed},
		{blocked, sightDenied, sightDenied, sightDenied},
		{blockedContact, sightDenied, sightDenied, sightDenied},
	} {
		for policy, want := range map[string]sight{VisibleShared: c.shared, VisibleContacts: c.listed, VisibleAll: c.all} {
			require.Equal(t, want, maySee(policy, false, c.regard), "%s %+v", policy, c.regard)
			require.Equal(t, sightAllowed, maySee(policy, true, c.regard), "everybody sees themselves")
		}
		require.NotEqual(t, sightIfShared, maySee("", false, c.regard))
	}
	require.Equal(t, sightDenied, maySee("no such policy", false, stranger))
}

func TestDifferingAndOthers(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"a", "b"}, others("me", []string{"b", "me", "a", "b", "me"}))
	require.Empty(t, others("me", nil))
	for _, c := range [][3][]string{
		{nil, nil, nil},
		{{"a"}, nil, {"a"}},
		{nil, {"a"}, {"a"}},
		{{"a", "b", "c"}, {"a", "b", "c"}, nil},
		{{"a", "c"}, {"b", "c", "d"}, {"a", "b", "d"}},
	} {
		require.Equal(t, c[2], differing(c[0], c[1]), "%v", c)
	}
}

func TestVisibleTo(t *testing.T) {
	t.Parallel()
	onBothRedis(t, func(t *testing.T, redis *servicestest.Redis) {
		r := newRelated(t, redis)
		r.chat()
		r.shares["ann"] = []string{"ann", "bob", "ein Name", "foe", "victim"}
		shared, listed, all := r.presence(VisibleShared), r.presence(VisibleContacts), r.presence(VisibleAll)
		shared.setContacts(t, "friend", "ann")
		shared.setContacts(t, "foe", "ann")
		shared.setBlocks(t, "foe", "ann")
		shared.setBlocks(t, "ann", "victim")
		shared.setContacts(t, "ann", "stranger")

		everybody := []string{"stranger", "ann", "friend", "bob", "foe", "victim", "ein Name"}
		for range 2 {
			require.Equal(t, []string{"ann", "friend", "bob", "ein Name"}, shared.canSee(t, "ann", everybody...))
			require.Equal(t, [][]string{{"stranger", "bob", "ein Name"}}, r.questions(), "once, for those who need it")
			require.Equal(t, []string{"ann", "friend"}, listed.canSee(t, "ann", everybody...))
			require.Equal(t, []string{"stranger", "ann", "friend", "bob", "ein Name"}, all.canSee(t, "ann", everybody...))
			require.Equal(t, []string{"friend", "ann"}, shared.canSee(t, "ann", "friend", "ann"))
			require.Empty(t, r.questions(), "chat is not asked where it does not matter")
			r.flush()
		}
		require.Equal(t, []string{"ann"}, listed.canSee(t, "stranger", "ann"))
		for _, blind := range []string{"foe", "victim"} {
			require.Empty(t, all.canSee(t, blind, "ann"), "a block hides both")
		}
		require.Empty(t, shared.canSee(t, "ann"))
		r.questions()

		var many []string
		for i := range proto.MaxSubscribe + 1 {
			many = append(many, fmt.Sprint("user-", i))
		}
		require.Empty(t, shared.canSee(t, "ann", many...))
		asked := r.questions()
		require.Equal(t, [][]string{many[:proto.MaxSubscribe], many[proto.MaxSubscribe:]}, asked)
	})
}

func TestVisibleWithoutChat(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	stop := r.chat()
	r.shares["ann"] = []string{"bob"}
	s := r.presence(VisibleShared)
	s.setContacts(t, "friend", "ann")
	s.setBlocks(t, "foe", "ann")
	users := []string{"bob", "friend", "foe", "ann", "stranger"}
	require.Equal(t, []string{"bob", "friend", "ann"}, s.canSee(t, "ann", users...))

	require.NoError(t, stop())
	ctx := calledBy(t, proto.Actor{User: "ann"})
	may, err := s.visibleTo(ctx, "ann", users)
	require.NoError(t, ctx.Err(), "in time for an answer")
	require.ErrorIs(t, err, errSightUnknown)
	var unknown *unknownSightError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []bool{true, false, false, false, true}, unknown.users)
	require.Equal(t, []bool{false, true, false, true, false}, may)
	require.Equal(t, []string{"friend"}, s.canSee(t, "ann", "friend", "foe"), "others need no chat")

	r.redis.Stop()
	_, err = s.visibleTo(calledBy(t, proto.Actor{User: "ann"}), "ann", users)
	require.NotErrorIs(t, err, errSightUnknown)
	requireFailure(t, proto.ServiceUnavailable, err)
}

func TestVisibilityIsChecked(t *testing.T) {
	t.Parallel()
	cfg := Config{Grace: 10 * time.Second, Rate: 2000}
	for _, cfg.Visibility = range []string{VisibleShared, VisibleContacts, VisibleAll} {
		require.NoError(t, cfg.Validate())
	}
	for _, cfg.Visibility = range []string{"", "friends"} {
		require.ErrorContains(t, cfg.Validate(), "PRESENCE_VISIBILITY")
	}
}
