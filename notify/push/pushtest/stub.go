package pushtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Seen is one request that a stub got.
type Seen struct {
	Path   string
	Header http.Header
	Body   []byte
}

// Stub is the service of a provider.
type Stub struct {
	URL string

	mu     sync.Mutex
	seen   []Seen
	answer http.HandlerFunc
	side   map[string]http.HandlerFunc
}

// NewStub starts a stub that takes everything with 200. It stops with the test.
func NewStub(t testing.TB) *Stub {
	t.Helper()
	s := &Stub{side: map[string]http.HandlerFunc{}}
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.URL = server.URL
	return s
}

// Side answers another path in its own way, unseen: a token endpoint, say.
func (s *Stub) Side(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.side[path] = h
}

// Answer sets how the stub answers from here on.
func (s *Stub) Answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.seen = h, nil
}

// AnswerWith has the stub answer with a status, headers and a body.
func (s *Stub) AnswerWith(status int, header map[string]string, body string) {
	s.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// Seen is the requests since the last change of the answer.
func (s *Stub) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	answer, side := s.answer, s.side[r.URL.Path]
	if side == nil {
		s.seen = append(s.seen, Seen{r.URL.Path, r.Header.Clone(), body})
	}
	s.mu.Unlock()
	switch {
	case side != nil:
		side(w, r)
	case answer != nil:
		answer(w, r)
	}
}

// statuses is every final HTTP status that has a name, and some that have none.
func statuses() []int {
	all := []int{299, 399, 499, 520, 599}
	for status := 200; status < 600; status++ {
		if http.StatusText(status) != "" {
			all = append(all, status)
		}
	}
	slices.Sort(all)
	return all
}

func name(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }
