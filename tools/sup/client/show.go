package client

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"supmesh.dev/proto"
)

// screen writes whole lines, from any goroutine.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *screen) linef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...)
}

// message shows one message as `#chat sender: text`.
func (s *screen) message(m proto.NewMessage) {
	name := m.Sender.Username
	if name == "" {
		name = m.Message.SenderID
	}
	s.linef("#%s %s: %s", clean(m.Message.ChatID), clean(name), clean(m.Message.EncryptedContent))
}

// event shows what this client has no form of its own for.
func (s *screen) event(name string, data json.RawMessage) {
	s.linef("* %s %s", clean(name), clean(string(data)))
}

// clean makes text of others harmless on a terminal: a control character could
// move the cursor, a directional one could reorder the line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsGraphic(r), r == '\u200d', r == '\ufe0f': // joiner and variation selector of emoji
			return r
		default:
			return unicode.ReplacementChar
		}
	}, text)
}
