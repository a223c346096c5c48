package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// headFrame is what a chat's head has in an answer beside its id, in bytes.
const headFrame = 192

// openFrame is what an answer to open has beside the heads, in bytes.
const openFrame = 1 << 10

// deviceBody is an entry of RECEIPTS for one device: where its queue begins.
type deviceBody struct {
	Position uint64 `json:"position"`
}

// open tells a gateway what a connecting device needs: the user's chats, page by page, and
// how far the device is in each. The heads are the log's own, so that a message
// which Redis has not heard of is owed too.
func (s *Service) open(ctx context.Context, req proto.OpenReq) (proto.OpenRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.OpenRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.OpenRes{}, err
	}
	res, err := s.openDevice(ctx, who, proto.Token(req.Cursor))
	return res, unavailable(err)
}

func (s *Service) openDevice(ctx context.Context, who caller, after proto.Token) (proto.OpenRes, error) {
	// First, so that whatever is stored after it is not taken as known below.
	head, err := s.log.Head(ctx)
	if err != nil {
		return proto.OpenRes{}, err
	}
	device, err := s.wholeDevice(ctx, who)
	if err != nil {
		return proto.OpenRes{}, err
	}
	res := proto.OpenRes{Epoch: *s.epoch.Load(), Position: head, Chats: []proto.ChatHead{}}
	var records []roster.DeviceRecord // of what Redis does not know yet
	if !device.Known {
		if device.Position, res.NewDevice, err = s.firstSight(ctx, who, head); err != nil {
			return proto.OpenRes{}, err
		}
		records = append(records, roster.DeviceRecord{User: who.user, Device: who.device, Position: device.Position})
	}
	var more bool
	if device.Chats, more, err = openPage(device.Chats, after, s.host.AnswerRoom()); err != nil {
		return proto.OpenRes{}, err
	}
	if more {
		res.NextCursor = string(device.Chats[len(device.Chats)-1])
	}
	if len(device.Chats) == 0 {
		if len(records) > 0 {
			err = s.roster.Load().SetDevices(ctx, records...)
		}
		return res, err
	}
	res.Chats, err = s.chatHeads(ctx, who, device, head, records)
	return res, err
}

// openPage is as many of a user's chats behind a token as fit an answer; more says that
// there are others behind.
func openPage(chats []proto.Token, after proto.Token, room *services.Room) (page []proto.Token, more bool, err error) {
	slices.Sort(chats)
	from, found := slices.BinarySearch(chats, after)
	if found {
		from++
	}
	room.Fits(openFrame)
	for i, token := range chats[from:] {
		id, err := token.ID()
		if err != nil {
			return nil, false, fmt.Errorf("open: %w", err)
		}
		if !room.Fits(proto.EncodedLen(id) + headFrame) {
			return chats[from : from+i], true, nil
		}
	}
	return chats[from:], false, nil
}

// firstSight makes the record of a device in the log: its queue begins at the
// head. Of two connections at once, the log lets one make it.
func (s *Service) firstSight(ctx context.Context, who caller, head uint64) (position uint64, made bool, err error) {
	subject := proto.DeviceLog(who.user, who.device)
	body, err := json.Marshal(deviceBody{Position: head})
	if err != nil {
		return 0, false, err
	}
	for {
		_, err = s.log.Append(ctx, &eventlog.Append{Subject: subject, Trace: who.trace, Body: body})
		var moved *eventlog.WrongLastError
		switch {
		case err == nil:
			return head, true, nil
		case errors.As(err, &moved): // it is known to the log: Redis lacked it
			known, err := s.log.Last(ctx, proto.Receipts.Name, subject)
			if err != nil {
				return 0, false, err
			}
			var d deviceBody
			if err := json.Unmarshal(known.Body, &d); err != nil {
				return 0, false, fmt.Errorf("read device record: %w", err)
			}
			return d.Position, false, nil
		case errors.Is(err, eventlog.ErrFull) || !pause(ctx, firstPause):
			return 0, false, err
		}
	}
}

// chatHeads is the state of each chat of the user, for this device, at least as of
// the position asOf. Device records go to Redis with its question.
func (s *Service) chatHeads(ctx context.Context, who caller, device roster.Device, asOf uint64, records []roster.DeviceRecord) ([]proto.ChatHead, error) {
	places, err := s.places(ctx, who, device.Chats, records...)
	if err != nil {
		return nil, err
	}
	lasts, err := s.lasts(ctx, device.Chats, asOf)
	if err != nil {
		return nil, err
	}
	heads := make([]proto.ChatHead, 0, len(places))
	asks := make([]floorOf, 0, len(places))
	stays := make([]roster.Stay, 0, len(places))
	for i, p := range places {
		if !p.IsMember {
			continue
		}
		token := device.Chats[i]
		id, err := token.ID()
		if err != nil {
			return nil, err
		}
		last := lasts[token]
		if p.Head.Seq > last.Seq { // stored since
			last.Seq, last.Position = p.Head.Seq, p.Head.Position
		}
		heads = append(heads, proto.ChatHead{
			ChatID: id, Version: p.Version, Joined: p.Member.Joined,
			LastSeq: last.Seq, LastPosition: last.Position, Delivered: p.Delivered,
		})
		asks = append(asks, floorOf{
			chat: token, lastSeq: last.Seq, lastPosition: last.Position,
			floor: max(device.Position, p.Stay.First), atLeast: p.Delivered,
		})
		stays = append(stays, p.Stay)
	}
	delivered, err := s.floors(ctx, asks)
	if err != nil {
		return nil, err
	}
	var found []roster.Cursor
	for i, seq := range delivered {
		if seq > heads[i].Delivered {
			heads[i].Delivered = seq
			found = append(found, roster.Cursor{Chat: asks[i].chat, User: who.user, Device: who.device, Seq: seq})
		}
	}
	if err := s.countMissed(ctx, who, heads, asks, stays); err != nil {
		return nil, err
	}
	// Kept, so that the next connection need not search. It follows from the log.
	if err := s.roster.Load().Advance(ctx, found); err != nil {
		return nil, err
	}
	slices.SortFunc(heads, func(a, b proto.ChatHead) int {
		return cmp.Or(cmp.Compare(b.LastPosition, a.LastPosition), cmp.Compare(a.ChatID, b.ChatID))
	})
	return heads, nil
}

// lasts is the last message of each chat that has one, at least as of the position asOf;
// 0 is the log's head now.
func (s *Service) lasts(ctx context.Context, chats []proto.Token, asOf uint64) (last map[proto.Token]eventlog.Entry, err error) {
	subjects := make([]string, len(chats))
	for i, c := range chats {
		subjects[i] = proto.ChatLog(c, proto.KindMessage)
	}
	entries, _, err := s.log.LastOfEach(ctx, subjects, asOf)
	if err != nil {
		return nil, err
	}
	last = make(map[proto.Token]eventlog.Entry, len(entries))
	for _, e := range entries {
		chat, _, err := proto.ParseChatSubject(e.Subject)
		if err != nil {
			return nil, err
		}
		last[chat] = e
	}
	return last, nil
}
