package gateway

import (
	"time"

	"supmesh.dev/proto"
)

const (
	// backlogPage bounds the messages of one page.
	backlogPage = 100
	// backlogChats bounds the chats of one question.
	backlogChats = 200
	// backlogAgain is when a chat whose backlog was refused is asked for again, at first;
	// the time doubles up to backlogLatest.
	backlogAgain  = time.Second
	backlogLatest = time.Minute
)

// paging is how much of one session's backlog is asked for at once. A page that chat
// refuses is asked for smaller: chat by chat, then message by message. A chat that is
// refused even so waits, longer each time, and holds up no other. One goroutine uses it.
type paging struct {
	chats, limit int
	stuck        map[string]stuckChat
}

// stuckChat is a chat whose next message alone was refused.
type stuckChat struct {
	pause time.Duration // before the next try
	next  time.Time     // of the next try
}

func newPaging() *paging { return &paging{chats: backlogChats, limit: backlogPage} }

// due reports whether a chat may be asked for.
func (p *paging) due(chat string, now time.Time) bool { return !now.Before(p.stuck[chat].next) }

// answered makes the next page larger again.
func (p *paging) answered(asked []proto.BacklogChat) {
	p.chats, p.limit = min(2*p.chats, backlogChats), min(2*p.limit, backlogPage)
	for i := range asked {
		delete(p.stuck, asked[i].ChatID)
	}
}

// refused makes the next page smaller. first says that a chat has got stuck that was not.
func (p *paging) refused(asked []proto.BacklogChat, now time.Time) (first bool) {
	switch {
	case len(asked) > 1:
		p.chats = 1
		return false
	case p.limit > 1:
		p.limit = max(p.limit/4, 1)
		return false
	}
	chat := asked[0].ChatID
	was, again := p.stuck[chat]
	pause := backlogAgain
	if again {
		pause = min(2*was.pause, backlogLatest)
	}
	if p.stuck == nil {
		p.stuck = make(map[string]stuckChat)
	}
	p.stuck[chat] = stuckChat{pause: pause, next: now.Add(pause)}
	p.limit = backlogPage // of the others
	return !again
}

// isAway reports whether a failure says nothing of the page: chat cannot be reached, or
// another page would have failed as well.
func isAway(err error) bool {
	code := proto.AsError(err).Code
	return code == proto.ServiceUnavailable || code == proto.Timeout
}
