package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// chatTimeout is how long chat may take to say who shares a chat: whoever
// subscribes waits for it.
const chatTimeout = 2 * time.Second

// sight is what may be said without asking chat.
type sight int

const (
	sightDenied sight = iota
	sightAllowed
	sightIfShared // only where they share a chat
)

// maySee judges what a watcher may see of a user: pure, and everything but who
// shares a chat.
func maySee(policy string, self bool, r relations.Regard) sight {
	switch {
	case self:
		return sightAllowed
	case r.Blocked:
		return sightDenied
	case policy == VisibleAll || r.Contact:
		return sightAllowed
	case policy == VisibleShared:
		return sightIfShared
	}
	return sightDenied
}

// errSightUnknown: of some users nobody can say whether they may be seen.
// unknownSightError says of whom.
var errSightUnknown = errors.New("who shares a chat is not known")

type unknownSightError struct {
	users []bool // in the order asked for
	err   error
}

func (e *unknownSightError) Error() string   { return fmt.Sprintf("%v: %v", errSightUnknown, e.err) }
func (e *unknownSightError) Unwrap() []error { return []error{errSightUnknown, e.err} }

// visibleTo says which users a watcher may see. Where chat cannot say who shares
// a chat, the rest of the answer stands and the error is an unknownSightError
// (errSightUnknown); with any other error nothing is known.
func (s *Service) visibleTo(ctx context.Context, watcher string, users []string) ([]bool, error) {
	who, err := proto.EncodeID(watcher)
	if err != nil {
		return nil, fmt.Errorf("watcher: %w", err)
	}
	whom, err := tokens(users)
	if err != nil {
		return nil, proto.FieldError("userIds", err)
	}
	regards, err := s.relations.Between(ctx, who, whom)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]bool, len(users))
	var ask []string
	depends := make([]bool, len(users))
	for i, r := range regards {
		switch maySee(s.cfg.Visibility, users[i] == watcher, r) {
		case sightAllowed:
			out[i] = true
		case sightIfShared:
			depends[i] = true
			ask = append(ask, users[i])
		case sightDenied:
		}
	}
	shared, err := s.sharing(ctx, watcher, ask)
	if err != nil {
		return out, &unknownSightError{users: depends, err: err}
	}
	for i := range out {
		out[i] = out[i] || depends[i] && shared[users[i]]
	}
	return out, nil
}

// sharing asks chat which users share a chat with one, all of them at once up to
// the bound of a request.
func (s *Service) sharing(ctx context.Context, user string, users []string) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, chatTimeout)
	defer cancel()
	shared := make(map[string]bool, len(users))
	for part := range slices.Chunk(users, proto.MaxSubscribe) {
		res, err := services.Do(ctx, s.host, proto.SharedChats, proto.Actor{}, proto.SharedChatsReq{UserID: user, UserIDs: part})
		if err != nil {
			return nil, fmt.Errorf("ask who shares a chat: %w", err)
		}
		for _, id := range res.UserIDs {
			shared[id] = true
		}
	}
	return shared, nil
}
