package gateway

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"supmesh.dev/gateway/rawjson"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// route is one row of the event table: a client event and who answers it.
type route struct {
	row     proto.Row
	service string       // the lane: events for one service keep their order
	local   localHandler // nil: the service behind row.Subject
	over    localHandler // not nil: answers what is over the limit, in place of a refusal
	call    callPart     // what its success says of a call
}

// localHandler answers an event in the gateway itself; it gives the ack's body.
type localHandler func(ctx context.Context, s *Session, data []byte) ([]byte, error)

// eventTable makes the one table of client events from the catalogue: a row
// with a subject goes to that service, one without must be in local. One that
// is in both is answered here, in the order of that service's events.
func eventTable(endpoints []proto.Described, local map[string]localHandler) (map[string]*route, error) {
	table := make(map[string]*route)
	for _, e := range endpoints {
		row, _, _ := e.Describe()
		if row.Event == "" {
			continue
		}
		if table[row.Event] != nil {
			return nil, fmt.Errorf("event %s stands twice in the catalogue", row.Event)
		}
		r := &route{row: row}
		switch parts := strings.Split(row.Subject, "."); {
		case row.Subject == "" && local[row.Event] != nil:
			r.local = local[row.Event]
		case len(parts) == 3 && parts[0] == "rpc":
			r.service, r.local = parts[1], local[row.Event]
		default:
			return nil, fmt.Errorf("event %s: nobody answers it", row.Event)
		}
		table[row.Event] = r
	}
	return table, nil
}

// features is the client events of the table, sorted.
func features(table map[string]*route) []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// dispatch takes one event of a client. It waits, for a few seconds at most, if
// the lane is full and goes on; data is copied.
func (svc *Service) dispatch(s *Session, event string, data []byte, id ackID) {
	r := svc.events[event]
	if r == nil {
		svc.dispatchOther(s, event, data, id)
		return
	}
	now := time.Now()
	s.active.Store(now.UnixMilli())
	if len(data) > 0 {
		data = bytes.Clone(data)
	} else {
		data = emptyObject
	}
	q := request{route: r, data: data, ack: id, deadline: now.Add(r.row.Timeout)}
	idle, ok := s.enqueue(q)
	if !ok && s.awaitRoom(r.service) {
		q.deadline = time.Now().Add(r.row.Timeout)
		idle, ok = s.enqueue(q)
	}
	switch {
	case !ok:
		s.answer(&q, nil, &proto.Error{Code: proto.ServiceUnavailable, Message: "too many requests are waiting", RetryAfter: time.Second}, newRequestID())
	case idle != nil:
		idle.drive()
	}
}

var emptyObject = []byte("{}")

// dispatchOther takes an event that is in no row: apps may send pong, and ping
// on the plain profile; anything else is unknown.
func (svc *Service) dispatchOther(s *Session, event string, data []byte, id ackID) {
	switch {
	case event == "pong":
		if id.wanted() {
			s.acked(id, successBody(newRequestID()))
		}
	case event == "ping" && s.peer.profile() == profilePlain:
		s.emit(proto.PongEvent.Name, proto.Pong{TS: proto.At(time.Now())})
		if id.wanted() {
			s.acked(id, successBody(newRequestID()))
		}
	default:
		svc.metrics.unknown.Add(svc.ctx, 1)
		event = eventName(event)
		err := proto.Errorf(proto.UnknownEvent, "%s is not an event of this service", event)
		s.answer(&request{ack: id, event: event, data: data}, nil, err, newRequestID())
	}
}

// answer ends a request: with its ack, or where none is wanted and it failed,
// with an error event. A nil body with a failure is made from it.
func (s *Session) answer(q *request, body []byte, failure *proto.Error, requestID string) {
	if q.ack.wanted() {
		if body == nil && failure != nil {
			body = failureBody(failure, requestID)
		}
		s.acked(q.ack, body)
		return
	}
	if failure == nil || q.route != nil && slices.Contains(q.route.row.Silent, failure.Code) {
		return
	}
	tempID, callID := clientIDs(q.data)
	event := q.event
	if q.route != nil {
		event = q.route.row.Event
	}
	s.emit(proto.ErrorEventEvent.Name, proto.ErrorEvent{
		Message: failure.Message, Code: failure.Code.Row().Code, Event: event, Field: failure.Field,
		TempID: tempID, CallID: callID, RetryAfterMs: failure.RetryAfter.Milliseconds(), RequestID: requestID,
	})
}

// clientIDs reads by which ids the app knows its request. The payload may be one that is
// refused, so nothing else of it is judged.
func clientIDs(data []byte) (tempID, callID string) {
	rawjson.Object(data, func(name, value []byte) {
		field := &tempID
		switch key, _ := rawjson.Text(name); string(key) {
		case "tempId":
		case "callId":
			field = &callID
		default:
			return
		}
		if id, ok := rawjson.Text(value); ok && proto.CheckClientID(string(id)) == nil {
			*field = string(id)
		}
	})
	return tempID, callID
}

// eventName cuts an event's name that is in no row to what an error may carry.
func eventName(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "")
	}
	return name
}

func (s *Session) acked(id ackID, body []byte) {
	if isFull(s.peer.ack(id, body)) {
		s.closeSlow()
	}
}

func failureBody(e *proto.Error, requestID string) []byte {
	body, err := wire.Marshal(e.Failure(requestID))
	if err != nil { // a message that is not UTF-8: no client made it, and no client needs it
		body, _ = wire.Marshal((&proto.Error{Code: e.Code, Message: e.Code.Row().Title}).Failure(requestID))
	}
	return body
}

func successBody(requestID string) []byte {
	return append(append([]byte(`{"success":true,"requestId":"`), requestID...), '"', '}')
}

func newRequestID() string { return services.NewRequestID() }
