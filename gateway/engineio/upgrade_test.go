package engineio_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

func (s session) candidate() peer {
	s.t.Helper()
	return s.dial(strings.Replace(s.query, "polling", "websocket", 1))
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	session := receive(t, s.echo.opened, "the session")
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	require.Equal(t, "polling", session.Transport())
	require.Equal(t, "6", s.poll().body, "a noop ends the polling cycle")
	p.send("5")
	p.send("4hello")
	require.Equal(t, "4hello", p.next())
	require.Equal(t, "websocket", session.Transport())

	require.JSONEq(t, `{"code":3,"message":"Bad request"}`, s.poll().body)
	require.JSONEq(t, `{"code":3,"message":"Bad request"}`, s.post("4x").body)
	second := s.candidate()
	second.ends()
	p.send("4again")
	require.Equal(t, "4again", p.next(), "the session has not suffered")
}

func TestProbeReleasesHeldPoll(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	polled := s.pollBeside(context.Background())
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	require.Equal(t, "6", receive(t, polled, "the poll").body)
}

func TestNothingGoesToPollingAfterUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	session := receive(t, s.echo.opened, "the session")
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	polled := s.pollBeside(context.Background()) // a stock client would not
	p.send("5")
	p.send("4hello")
	require.Equal(t, "4hello", p.next())
	require.NoError(t, session.Send(text("more")))
	require.Equal(t, "4more", p.next())
	r := receive(t, polled, "the poll")
	require.True(t, r.status == http.StatusBadRequest || r.body == "6", "%d %s", r.status, r.body)
}

func TestPollingGoesOnDuringAndWithoutUpgrade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ packets []string }{
		"wrong probe":          {[]string{"2other"}},
		"message first":        {[]string{"4early"}},
		"upgrade without ping": {[]string{"5"}},
		"probe twice":          {[]string{"2probe", "2probe"}},
		"message after probe":  {[]string{"2probe", "4early"}},
		"leaves":               {nil},
		"leaves after probe":   {[]string{"2probe"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, engineio.Config{}).openPolling()
			p := s.candidate()
			for _, packet := range c.packets {
				p.send(packet)
			}
			if strings.HasPrefix(name, "leaves") {
				require.NoError(t, p.CloseNow())
			} else {
				p.ends()
			}
			require.Equal(t, "ok", s.post("4still here").body)
			s.pollUntil("4still here")
			s.upgradesAgain()
			require.Empty(t, s.echo.closed)
		})
	}
}

// pollUntil passes over noops.
func (s session) pollUntil(want string) {
	s.t.Helper()
	for {
		r := s.poll()
		require.Equal(s.t, http.StatusOK, r.status)
		if r.body != "6" {
			require.Equal(s.t, want, r.body)
			return
		}
	}
}

// upgradesAgain tries until the server has noticed that the last candidate is gone.
func (s session) upgradesAgain() {
	s.t.Helper()
	s.eventually("another candidate is taken", func() bool {
		p := s.candidate()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.Write(ctx, 1, []byte("2probe"))
		_, data, err := p.Read(ctx)
		if err != nil || string(data) != "3probe" {
			return false
		}
		p.send("5")
		p.send("4up")
		return p.next() == "4up"
	})
}

func TestSlowCandidateIsDropped(t *testing.T) {
	t.Parallel()
	for _, probed := range []bool{false, true} {
		s := start(t, engineio.Config{UpgradeTimeout: 50 * time.Millisecond}).openPolling()
		p := s.candidate()
		if probed {
			p.send("2probe")
		}
		p.ends()
		s.post("4still here")
		s.pollUntil("4still here")
	}
}

func TestSecondCandidateIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	s.candidate().ends()
	p.send("5")
	p.send("4hello")
	require.Equal(t, "4hello", p.next())
}

func TestCandidateEndsWithSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	s.post("1")
	p.ends()
	require.Equal(t, engineio.ReasonTransportClose, receive(t, s.echo.closed, "the end of the session"))
}

// TestOrderAcrossUpgrade sends in both directions while the transport changes.
func TestOrderAcrossUpgrade(t *testing.T) {
	t.Parallel()
	const total = 400
	server := start(t, engineio.Config{})
	arrived := make(chan string, total)
	server.echo.onMessage = func(_ *engineio.Session, _ bool, data []byte) { arrived <- string(data) }
	s := server.openPolling()
	session := receive(t, s.echo.opened, "the session")

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range total {
			_ = session.Send(text(fmt.Sprint(i)))
			if i%40 == 0 {
				runtime.Gosched()
			}
		}
	}()

	var got []string
	take := func(body string) {
		for _, packet := range strings.Split(body, "\x1e") {
			if packet[0] == '4' {
				got = append(got, packet[1:])
			}
		}
	}
	next := 0
	post := func() {
		require.Equal(t, "ok", s.post(fmt.Sprintf("4%d\x1e4%d", next, next+1)).body)
		next += 2
	}
	for len(got) < total/4 {
		post()
		take(s.poll().body)
	}
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	post()
	take(s.poll().body)
	p.send("5")
	for ; next < total; next++ {
		p.send(fmt.Sprintf("4%d", next))
	}
	for len(got) < total {
		take(p.next())
	}
	<-sent
	for i := range total {
		require.Equal(t, fmt.Sprint(i), got[i])
		require.Equal(t, fmt.Sprint(i), receive(t, arrived, "a message"))
	}
}

// TestUpgradeWaitsForPost has the upgrade packet overtake a POST that is still being handled.
func TestUpgradeWaitsForPost(t *testing.T) {
	t.Parallel()
	server := start(t, engineio.Config{})
	entered, leave := make(chan struct{}), make(chan struct{})
	arrived := make(chan string, 10)
	server.echo.onMessage = func(_ *engineio.Session, _ bool, data []byte) {
		if string(data) == "1" {
			close(entered)
			<-leave
		}
		arrived <- string(data)
	}
	s := server.openPolling()
	p := s.candidate()
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	posted := make(chan struct{})
	go func() { // it was on its way when the probe was answered
		defer close(posted)
		_, _ = s.request(context.Background(), http.MethodPost, s.query, "41\x1e42")
	}()
	receive(t, entered, "the POST")
	p.send("5")
	p.send("43")
	require.Empty(t, arrived)
	close(leave)
	for _, want := range []string{"1", "2", "3"} {
		require.Equal(t, want, receive(t, arrived, "a message"))
	}
	receive(t, posted, "the POST's answer")
}
