package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want command
		ok   bool
	}{
		{"hello there", command{rest: "hello there"}, true},
		{"  ", command{rest: "  "}, false},
		{"", command{}, false},
		{"/join room 1 ", command{"join", "room 1"}, true},
		{"/quit\r", command{word: "quit"}, true},
		{"//shrug", command{rest: "/shrug"}, true},
	} {
		got, ok := parse(c.line)
		require.Equal(t, c.ok, ok, c.line)
		require.Equal(t, c.want, got, c.line)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 20, "1": 1, "100": 100} {
		n, ok := count(text)
		require.True(t, ok, text)
		require.Equal(t, want, n, text)
	}
	for _, text := range []string{"0", "101", "-1", "x", "1 2"} {
		_, ok := count(text)
		require.False(t, ok, text)
	}
}

func TestTextOfOthersIsHarmless(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain text":           "plain text",
		"héllo 👨‍👩‍👧 ❤️":       "héllo 👨‍👩‍👧 ❤️",
		"a\x1b[2Jb":            "a\ufffd[2Jb",
		"a\nb\tc":              "a b c",
		"a\u202egnp.exe":       "a\ufffdgnp.exe",
		"a\u0085b\u009bc\x7fd": "a\ufffdb\ufffdc\ufffdd",
		"bad \xff utf8":        "bad \ufffd utf8",
	} {
		require.Equal(t, want, clean(text))
	}
}

func TestScreenLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &screen{out: &out}
	s.event("chat:updated", []byte("{\"name\":\"a\x1bb\"}"))
	require.Equal(t, "* chat:updated {\"name\":\"a\ufffdb\"}\n", out.String())
}

func TestComesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errors.New("connection reset"), true},
		{websocket.CloseError{Code: 1012}, true},
		{websocket.CloseError{Code: 1013}, true},
		{fmt.Errorf("read: %w", websocket.CloseError{Code: 4408}), true},
		{websocket.CloseError{Code: 4501}, false},
		{websocket.CloseError{Code: 1009}, false},
		{&refusal{401}, false},
	} {
		require.Equal(t, c.want, comesBack(c.err), "%v", c.err)
	}
}
