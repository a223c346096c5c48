package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

// maxLooks is in how many chats a look for what was missed is cheaper than to
// ask chat again.
const maxLooks = 8

// lookTimeout is how long one look may take. Chat is asked again behind it.
const lookTimeout = time.Second

// missed says whether something may have been stored in one of the log subjects
// behind a position before the subscriptions made so far were live. When in doubt it was.
func (svc *Service) missed(ctx context.Context, subjects []string, position uint64) bool {
	if len(subjects) > maxLooks {
		return true
	}
	var found atomic.Bool
	look := func(subject string) {
		stored, err := svc.store.storedBehind(ctx, subject, position)
		if err != nil {
			svc.host.Log().DebugContext(ctx, "look for what was missed", "error", err)
		}
		if stored || err != nil {
			found.Store(true)
		}
	}
	var wg sync.WaitGroup
	for _, subject := range subjects[1:] {
		wg.Go(func() { look(subject) })
	}
	look(subjects[0])
	wg.Wait()
	return found.Load()
}

// storedBehind says whether a subject of the log has an entry behind a
// position. The request is made on the connection with the subscriptions, so
// that they are live before it; and the stream's leader answers it, who also
// sends the live copies: what it does not know of yet will come as one.
func (s *store) storedBehind(ctx context.Context, subject string, position uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	e, err := s.host.LiveLog().Next(ctx, proto.Events.Name, subject, position+1)
	return e.Position != 0, err
}
