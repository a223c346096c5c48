package gateway

import (
	"time"

	"supmesh.dev/proto"
)

// beginWatch and endWatch keep the session's own list; a closed one watches nobody.
func (s *Session) beginWatch(w *watched) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed {
		return false
	}
	if s.watches == nil {
		s.watches = make(map[proto.Token]*watched)
	}
	s.watches[w.token] = w
	return true
}

func (s *Session) endWatch(w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.watches, w.token); len(s.watches) == 0 {
		s.watches = nil
	}
}

func (s *Session) isWatching(user proto.Token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches[user] != nil
}

func (s *Session) watchList() []*watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*watched, 0, len(s.watches))
	for _, w := range s.watches {
		out = append(out, w)
	}
	return out
}

// watching is whom the session watches, by id.
func (s *Session) watching() []string {
	list := s.watchList()
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.user
	}
	return out
}

// announcement is what presence is told of a session that is here.
func (s *Session) announcement() proto.Opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := proto.Opened{
		UserID: s.actor.User, DeviceID: s.actor.Device, PID: s.pid, SocketID: s.id, Fence: s.fence.Load(),
		Status: proto.StatusOnline, Since: proto.At(time.UnixMilli(s.since)),
	}
	if s.away {
		o.Status = proto.StatusAway
	}
	return o
}
