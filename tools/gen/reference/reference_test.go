package reference_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/reference"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryRowAndLinkIsThere(t *testing.T) {
	t.Parallel()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	b, err := reference.File(m)
	require.NoError(t, err)
	text := string(b)
	anchors := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchor := strings.NewReplacer(":", "", " ", "-", "/", "", "{", "", "}", "").Replace(strings.ToLower(h[1]))
		require.False(t, anchors[anchor], "heading %q twice", h[1])
		anchors[anchor] = true
	}
	for _, l := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		require.True(t, anchors[l[1]], "link to #%s", l[1])
	}
	for _, r := range m.Requests {
		require.Contains(t, text, r.Summary, r.Name())
	}
	for _, e := range m.Events {
		require.Contains(t, text, "### event "+e.Name)
	}
	require.Contains(t, text, "| `chatId` ‡ | string, 1 to 128 characters | required |")
	require.Contains(t, text, "| `metadata` ‡ | object, at most 8192 bytes | optional |")
}
