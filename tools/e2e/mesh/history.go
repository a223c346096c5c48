package mesh

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// History reads a whole chat, forwards, page by page.
func History(t testing.TB, c Client, chat string) []SentMessage {
	t.Helper()
	var all []SentMessage
	for after := uint64(0); ; {
		ack := c.Emit(t, "message:history", map[string]any{"chatId": chat, "afterSeq": after, "limit": 100})
		require.True(t, ack.Success, "%s", ack.Raw)
		var page struct {
			Messages []SentMessage
			HasMore  bool
		}
		require.NoError(t, json.Unmarshal(ack.Raw, &page))
		all = append(all, page.Messages...)
		if !page.HasMore {
			return all
		}
		after = all[len(all)-1].Message.Seq
	}
}
