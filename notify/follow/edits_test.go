package follow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// edit changes whom a message mentions, as chat does.
func (w *town) edit(message string, version uint64, added, removed []string) uint64 {
	w.t.Helper()
	var now []string
	w.set(func() {
		now = slices.DeleteFunc(append(slices.Clone(w.mentions[message]), added...), func(u string) bool { return slices.Contains(removed, u) })
		w.mentions[message] = now
	})
	return w.store(proto.ChatLog("c", proto.KindEdit), proto.MessageEditedEvent.Name, proto.MessageEdited{
		ChatID: "c", MessageID: message, Seq: 1, EncryptedContent: "SECRET", Mentions: now, MentionsAdded: added, MentionsRemoved: removed,
		EditedAt: proto.At(time.Now()), EditedBy: "ann", Version: version,
	})
}

// TestEditsOfMentions: an edit that adds a mention notifies those alone, one that takes a
// mention out clears it; each adding is told once, and the message's own push follows.
func TestEditsOfMentions(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.members = []string{"ann", "bob", "cat", "dan"}
	w.author = "ann"
	w.decider(time.Second)
	w.say("c", 1, func(m *proto.Message) { m.Mentions = []string{"cat"} })
	w.edit("msg_c_1", 2, []string{"bob", "ann", "left"}, nil)
	at := w.edit("msg_c_1", 3, nil, []string{"cat"})
	w.store(proto.ChatLog("c", proto.KindEdit), proto.MessageDeletedEvent.Name, proto.MessageDeleted{ChatID: "c", MessageID: "msg_c_0", ForEveryone: true})
	w.settled()
	var is []string
	for _, n := range w.made() {
		require.NoError(t, n.Validate())
		require.Equal(t, []string{"Ann", "Mentioned you", "ann", "chat:c"}, []string{n.Title, n.Message, n.FromUserID, n.CollapseKey})
		is = append(is, fmt.Sprint(n.Type, " ", n.UserIDs, " ", n.Key))
	}
	require.Equal(t, []string{"mention [cat] mention:msg_c_1", "mention [bob] mention:msg_c_1:2"}, is)
	require.Equal(t, []string{fmt.Sprintf("cat msg_c_1 mention edit:%d", at)}, w.cleared)
	var users []string
	for _, p := range w.queued() {
		users = append(users, fmt.Sprint(p.MessageID, " ", p.UserID))
	}
	require.Equal(t, []string{"msg_c_1 cat", "msg_c_1 dan"}, users, "who is not mentioned any more gets the push of a message")

	// Of what an edit adds, what is there no more by the time it is looked at makes nothing.
	w.set(func() { w.deleted = true })
	w.edit("msg_c_1", 4, []string{"dan"}, nil)
	w.settled()
	require.Len(t, w.made(), 2, "it is gone")
}
