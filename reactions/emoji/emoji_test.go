package emoji_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/reactions/emoji"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, out string }{
		"family":                  {"👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"},
		"heart with selector":     {"❤️", "❤️"},
		"heart without":           {"❤", "❤️"},
		"thumbs up":               {"👍", "👍"},
		"skin tone":               {"👍🏽", "👍🏽"},
		"flag":                    {"🇩🇪", "🇩🇪"},
		"flag of tags":            {"🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"},
		"keycap":                  {"1️⃣", "1️⃣"},
		"keycap without selector": {"1⃣", "1️⃣"},
		"minimally qualified":     {"👁‍🗨️", "👁️‍🗨️"},
		"of Unicode 16":           {"🫩", "🫩"},
		"text":                    {"lol", ""},
		"empty":                   {"", ""},
		"two":                     {"👍👍", ""},
		"two different":           {"❤️👍", ""},
		"digit":                   {"1", ""},
		"one regional indicator":  {"🇩", ""},
		"no such flag":            {"🇩🇩", ""},
		"skin tone alone is RGI":  {"🏽", "🏽"},
		"asks for text":           {"❤︎", ""},
		"selector twice":          {"❤️️", ""},
		"selector alone":          {"\ufe0f", ""},
		"selector where none is":  {"👍️", "👍"},
		"joiner at the end":       {"👍\u200d", ""},
		"space":                   {"👍 ", ""},
		"invalid UTF-8":           {"👍\xff", ""},
		"long":                    {strings.Repeat("👍", 1000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := emoji.Canonical(c.in)
			require.Equal(t, c.out, got)
			require.Equal(t, c.out != "", ok)
		})
	}
}

// TestTable: every line of the table is its own canonical form, with or without
// its selectors.
func TestTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("rgi.txt")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	require.Len(t, lines, 3953, "Unicode 17")
	for _, e := range lines {
		for _, form := range []string{e, strings.ReplaceAll(e, "\ufe0f", "")} {
			got, ok := emoji.Canonical(form)
			require.True(t, ok, "%q", form)
			require.Equal(t, e, got, "%q", form)
		}
	}
}

func TestShortcode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		":azAZ09_+-:": true, ":`:": false, ":{:": false, ":@:": false, ":[:": false, ":/:": false, "::a": false, "a:a:": false,
		":party_parrot:": true, ":+1:": true, ":a:": true, ":" + strings.Repeat("a", 30) + ":": true,
		":" + strings.Repeat("a", 31) + ":": false, "::": false, ":": false, "": false, "a": false, ":a b:": false, ":a": false, ":ä:": false, ":a::b:": false,
	} {
		require.Equal(t, want, emoji.Shortcode(s), "%q", s)
	}
}

func BenchmarkCanonical(b *testing.B) {
	for b.Loop() {
		if _, ok := emoji.Canonical("👨‍👩‍👧‍👦"); !ok {
			b.Fatal("not an emoji")
		}
	}
}
