package emoji

import (
	_ "embed" // the table
	"strings"
	"sync"
)

// Version is the version of Unicode whose emoji are known.
const Version = "17.0"

// MaxShortcode bounds a shortcode, its colons included (CONTRACT §4.14).
const MaxShortcode = 32

// Of Unicode's RGI set (UTS #51): what is recommended for interchange. See gen/.
//
//go:embed rgi.txt
var rgi string

// variant is the selector that asks for the colourful look of a character. Apps
// leave it out now and then; the set has it where it belongs.
const variant = "\ufe0f"

// table is each emoji without its selectors → the emoji.
var table = sync.OnceValue(func() map[string]string {
	m := make(map[string]string, 1<<12)
	for line := range strings.Lines(rgi) {
		e := strings.TrimSuffix(line, "\n")
		m[strings.ReplaceAll(e, variant, "")] = e
	}
	return m
})

// Canonical is the emoji that s is, exactly one, in the form of the RGI set: what
// differs in its variation selectors alone is the same reaction. ok is false for
// anything else.
func Canonical(s string) (e string, ok bool) {
	if len(s) > maxBytes || strings.HasPrefix(s, variant) || strings.Contains(s, variant+variant) {
		return "", false
	}
	e, ok = table()[strings.ReplaceAll(s, variant, "")]
	return e, ok
}

// maxBytes is more than any emoji takes, with a selector after each character.
const maxBytes = 128

// Shortcode says whether s is `:name:`, at most 32 bytes, with a name of
// letters, digits, '_', '+' and '-'. What it shows is the app's matter.
func Shortcode(s string) bool {
	if len(s) < 3 || len(s) > MaxShortcode || s[0] != ':' || s[len(s)-1] != ':' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '+', c == '-':
		default:
			return false
		}
	}
	return true
}
