package bench

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wire wire
		text string
		want packet
	}{
		{socketIO{}, `2`, packet{kind: kindHeartbeat}},
		{socketIO{}, `0{"sid":"a"}`, packet{}},
		{socketIO{}, `40{"sid":"a"}`, packet{}},
		{socketIO{}, `42["connected",{}]`, packet{kind: kindReady, body: []byte("{}]")}},
		{socketIO{}, `42["message:new",{"a":1},"o"]`, packet{kind: kindMessage, body: []byte(`{"a":1},"o"]`)}},
		{socketIO{}, `42["chat:updated",{"a":1}]`, packet{kind: kindEvent, event: []byte("chat:updated"), body: []byte(`{"a":1}]`)}},
		{socketIO{}, `42["pong"]`, packet{}},
		{socketIO{}, `42[1]`, packet{}},
		{socketIO{}, `42["`, packet{}},
		{socketIO{}, `431000000007[{"success":true}]`, packet{kind: kindAck, ackID: 1000000007, body: []byte(`{"success":true}]`)}},
		{socketIO{}, `44{"message":"no"}`, packet{kind: kindRefused, body: []byte(`44{"message":"no"}`)}},
		{socketIO{}, `41`, packet{kind: kindRefused, body: []byte(`41`)}},
		{socketIO{}, ``, packet{}},
		{socketIO{}, `4`, packet{}},
		{socketIO{}, `43`, packet{}},
		{plain{}, `{"event":"connected","data":{}}`, packet{kind: kindReady, body: []byte("{}}")}},
		{plain{}, `{"event":"message:new","data":{"a":1},"offset":"o"}`, packet{kind: kindMessage, body: []byte(`{"a":1},"offset":"o"}`)}},
		{plain{}, `{"ack":1000000007,"data":{"success":true}}`, packet{kind: kindAck, ackID: 1000000007, body: []byte(`{"success":true}}`)}},
		{plain{}, `{"event":"error","data":{}}`, packet{kind: kindRefused, body: []byte(`{"event":"error","data":{}}`)}},
		{plain{}, `{"ack":`, packet{}},
		{plain{}, `{"event":"message:read","data":{"a":1}}`, packet{kind: kindEvent, event: []byte("message:read"), body: []byte(`{"a":1}}`)}},
		{plain{}, `{"event":"","data":{}}`, packet{}},
		{plain{}, `{"event":"pong"}`, packet{}},
	} {
		require.Equal(t, c.want, c.wire.classify([]byte(c.text)), c.text)
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	for w, text := range map[wire]string{
		socketIO{}: `42["message:new",{"a":[1,"]"]},"offset"]`,
		plain{}:    `{"event":"message:new","data":{"a":[1,"]"]},"offset":"o"}`,
	} {
		p := w.classify([]byte(text))
		require.Equal(t, kindMessage, p.kind)
		got, err := w.payload(p.body)
		require.NoError(t, err)
		require.JSONEq(t, `{"a":[1,"]"]}`, string(got))
	}
}

func TestSentMessageIsAValidRequest(t *testing.T) {
	t.Parallel()
	event := appendEvent(nil, "c-1", 0x2A, 64)
	var req proto.SendMessageReq
	require.NoError(t, json.Unmarshal(event, &req))
	require.NoError(t, req.Validate())
	require.Len(t, req.EncryptedContent, 64)

	var items []json.RawMessage
	text := socketIO{}.request(nil, "message:new", firstAckID+0x2A, event)
	id, rest := digits(text[2:])
	require.EqualValues(t, firstAckID+0x2A, id)
	require.NoError(t, json.Unmarshal(rest, &items))
	require.JSONEq(t, string(event), string(items[1]))

	var frame struct {
		Event string
		Data  json.RawMessage
		Ack   uint64
	}
	require.NoError(t, json.Unmarshal(plain{}.request(nil, "message:new", 7, event), &frame))
	require.Equal(t, "message:new", frame.Event)
	require.EqualValues(t, 7, frame.Ack)
	require.JSONEq(t, string(event), string(frame.Data))
}

func TestScannerReadsWhatWasSent(t *testing.T) {
	t.Parallel()
	var s scanner
	for _, c := range []struct {
		chat string
		i    int
		seq  uint64
	}{{"c", 0, 1}, {"c", 1, 2}, {"longer-chat", 0xABCDEF, 12345678}, {"c", 3, 9}} {
		body, err := json.Marshal(proto.NewMessage{Message: proto.Message{
			ID: "msg_1", ChatID: c.chat, EncryptedContent: string(appendContent(nil, c.i, 40)), Seq: c.seq,
		}})
		require.NoError(t, err)
		i, seq, ok := s.message(body)
		require.True(t, ok)
		require.Equal(t, c.i, i)
		require.Equal(t, c.seq, seq)
	}
	for _, bad := range []string{``, `{}`, `{"encryptedContent":"sb1.00`, `{"encryptedContent":"sb1.0000002x.","seq":1`, `{"encryptedContent":"sb1.0000002a."`} {
		_, _, ok := s.message([]byte(bad))
		require.False(t, ok, bad)
	}
	seq, ok := s.ack([]byte(`{"success":true,"message":{"seq":17}}`))
	require.True(t, ok)
	require.EqualValues(t, 17, seq)
	_, ok = s.ack([]byte(`{"success":false,"code":"INTERNAL_ERROR"}`))
	require.False(t, ok)
}

func TestOpenResponse(t *testing.T) {
	t.Parallel()
	good := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + websocketAccept + "\r\n\r\n"
	n, err := openResponse([]byte(good + "rest"))
	require.NoError(t, err)
	require.Len(t, good, n)
	n, err = openResponse([]byte(good[:20]))
	require.NoError(t, err)
	require.Zero(t, n)
	for _, bad := range []string{"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: other\r\n\r\n"} {
		_, err = openResponse([]byte(bad))
		require.ErrorIs(t, err, errNotOpen)
	}
}

// BenchmarkDelivery is what counting one delivery costs beside the read itself.
func BenchmarkDelivery(b *testing.B) {
	body, err := json.Marshal(proto.NewMessage{Message: proto.Message{
		ID: "msg_01", ChatID: "c", EncryptedContent: string(appendContent(nil, 5, 64)), Seq: 1234567,
	}})
	require.NoError(b, err)
	data := serverFrame(opText, `42["message:new",`+string(body)+`,"0123456789012345678901"]`)
	var s scanner
	var l ledger
	h := newLatency()
	for seq := uint64(1); b.Loop(); seq++ {
		f, _, err := nextFrame(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, ok := s.message(socketIO{}.classify(f.payload).body); !ok {
			b.Fatal("not read")
		}
		l.delivered(seq%maxLedger + 1)
		h.record(1500)
	}
}
