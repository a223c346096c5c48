package gateway

import (
	"context"
	"encoding/json"
	"fmt"
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

// codeNotFound is JetStream's word that no such entry is stored.
const codeNotFound = 10037

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
	body, err := json.Marshal(struct {
		Seq  uint64 `json:"seq"`
		Next string `json:"next_by_subj"`
	}{position + 1, subject})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	m, err := s.host.NATS().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+proto.Events.Name, body)
	if err != nil {
		return false, fmt.Errorf("look behind %d of %s: %w", position, subject, err)
	}
	var r struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return false, fmt.Errorf("look behind %d of %s: %w", position, subject, err)
	}
	switch {
	case r.Error == nil:
		return true, nil
	case r.Error.Code == codeNotFound:
		return false, nil
	}
	return false, fmt.Errorf("look behind %d of %s: %s (%d)", position, subject, r.Error.Description, r.Error.Code)
}
