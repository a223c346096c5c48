package engineio_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

// The expected values are what node:querystring makes of the same texts.
func TestParseQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]url.Values{
		"":                           {},
		"EIO=4&transport=polling":    {"EIO": {"4"}, "transport": {"polling"}},
		"a=1;b=2&c=3":                {"a": {"1;b=2"}, "c": {"3"}},
		"a=100%&b=%zz%41&c=%4":       {"a": {"100%"}, "b": {"%zzA"}, "c": {"%4"}},
		"%=1&%25=2":                  {"%": {"1", "2"}},
		"a=b+c%2Bd&e%20f=g":          {"a": {"b c+d"}, "e f": {"g"}},
		"a&b=&=c&&":                  {"a": {""}, "b": {""}, "": {"c"}},
		"a=1&a=2":                    {"a": {"1", "2"}},
		"a=b=c":                      {"a": {"b=c"}},
		"n=%E2%82%AC%f0%9f%98%80":    {"n": {"€😀"}},
		"n=%E2%82&m=%ff":             {"n": {"\uFFFD"}, "m": {"\uFFFD"}},
		"token=aaa.bbb_-.ccc&t=OxYz": {"token": {"aaa.bbb_-.ccc"}, "t": {"OxYz"}},
	} {
		require.Equal(t, want, engineio.ParseQuery(raw), raw)
	}
}

// Queries that url.ParseQuery refuses are taken, as the stock server takes them.
func TestLooseQueriesAreTaken(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	for _, extra := range []string{"note=a;b", "note=100%", "%", "note=%zz", ";"} {
		r := s.do(http.MethodGet, "EIO=4&transport=polling&"+extra, "")
		require.Equal(t, http.StatusOK, r.status, "%s: %s", extra, r.body)
		sid := parseOpen(t, r.body).SID
		require.Equal(t, extra, receive(t, s.echo.opened, "the session").Request().RawQuery[len("EIO=4&transport=polling&"):])
		require.Equal(t, "ok", s.do(http.MethodPost, "EIO=4&transport=polling&"+extra+"&sid="+sid, "4x").body)
	}
}
