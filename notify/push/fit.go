package push

import (
	"unicode/utf8"

	"supmesh.dev/proto"
)

// Fit encodes a push into at most limit bytes: where it is too long, first its data
// go, which the app can fetch, then the end of its message, then of its title. It
// answers nil where nothing of that is enough.
func Fit(p *proto.Push, limit int, encode func(*proto.Push) ([]byte, error)) ([]byte, error) {
	body, err := encode(p)
	if err != nil || len(body) <= limit {
		return body, err
	}
	short := *p
	short.Data = nil
	for _, part := range []*string{&short.Message, &short.Title} {
		for {
			if body, err = encode(&short); err != nil || len(body) <= limit {
				return body, err
			}
			if *part == "" {
				break
			}
			*part = cut(*part, max(len(*part)-(len(body)-limit)-len("…"), 0))
		}
	}
	return nil, nil
}

// cut is text of at most n bytes, whole characters, with a sign that there was
// more. It is always shorter than text.
func cut(text string, n int) string {
	n = min(n, len(text)-1-len("…"))
	if n <= 0 {
		return ""
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	if n == 0 {
		return ""
	}
	return text[:n] + "…"
}
