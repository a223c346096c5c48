package client

import (
	"strconv"
	"strings"
)

// command is one line of input. Word is empty for text to send.
type command struct {
	word, rest string
}

const help = `lines are sent to the open chat; commands:
  /join CHAT      open a chat
  /history [N]    its last N messages (20)
  /quit           leave (or end of input)
  //text          a line that begins with a slash`

// parse reads a line; ok is false for an empty one.
func parse(line string) (c command, ok bool) {
	line = strings.TrimRight(line, "\r\n")
	if after, escaped := strings.CutPrefix(line, "//"); escaped {
		return command{rest: "/" + after}, true
	}
	if after, isCommand := strings.CutPrefix(line, "/"); isCommand {
		word, rest, _ := strings.Cut(after, " ")
		return command{word: word, rest: strings.TrimSpace(rest)}, true
	}
	return command{rest: line}, strings.TrimSpace(line) != ""
}

// count is a number from 1 to 100, 20 for nothing.
func count(text string) (n int, ok bool) {
	if text == "" {
		return 20, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= 100
}
