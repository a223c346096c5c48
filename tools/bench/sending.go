package bench

import (
	"context"
	"time"
)

// sending is what became of the sender's side of a plan.
type sending struct {
	sent   int
	unsent int // not taken by the connection
	lag    latency
}

// send is the open loop: it sends each request when it is due. request appends
// the text of request i and names the connection that sends it.
func (m *sending) send(ctx context.Context, cs *clients, q *requests, request func(text []byte, i int) (*conn, []byte)) error {
	var text, data []byte
	for i := 0; i < q.plan.count; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sleepUntil(q.start, max(q.plan.due(i), time.Since(q.start)+pause))
		for ; i < q.plan.count; i++ {
			lag := time.Since(q.start) - q.plan.due(i)
			if lag < 0 {
				break
			}
			var c *conn
			c, text = request(text[:0], i)
			data = appendFrame(data[:0], opText, text)
			m.sent++
			if err := c.write(cs.ep, data); err != nil {
				m.unsent++
			}
			if i >= q.warm {
				m.lag.record(lag)
			}
		}
	}
	return nil
}

// settled waits until done, or until nothing has moved for giveUp, or for longest.
func settled(ctx context.Context, longest, giveUp time.Duration, moved func() int64, done func() bool) error {
	last, since := moved(), time.Now()
	for end := since.Add(longest); time.Now().Before(end) && !done(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now := moved(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > giveUp {
			break
		}
		sleepUntil(time.Now(), 5*time.Millisecond)
	}
	return nil
}

// linger leaves a moment to what comes twice: it comes late.
func linger() { sleepUntil(time.Now(), 100*time.Millisecond) }
