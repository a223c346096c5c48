package services_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestStreamsAreCreatedOnceAndChecked(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	ctx := t.Context()
	h := servicestest.NewHost(t, "test", n, nil)
	require.ErrorContains(t, h.EnsureStreams(ctx, false, proto.Streams...), "stream EVENTS: is missing")
	require.NoError(t, h.EnsureStreams(ctx, true, proto.Streams...))
	epoch, err := h.Epoch(ctx, proto.Events)
	require.NoError(t, err)
	require.Len(t, epoch, 32)
	require.NoError(t, h.EnsureStreams(ctx, true, proto.Streams...))
	require.NoError(t, h.EnsureStreams(ctx, false, proto.Streams...))
	again, err := h.Epoch(ctx, proto.Events)
	require.NoError(t, err)
	require.Equal(t, epoch, again)

	// What is stored comes again on live.
	live, err := h.NATS().SubscribeSync("live.>")
	require.NoError(t, err)
	_, err = h.JetStream().Publish(ctx, proto.ChatLog("c1", proto.KindMessage), []byte("{}"))
	require.NoError(t, err)
	msg := servicestest.Next(t, live)
	require.Equal(t, "live.chat.c1.msg", msg.Subject)
	require.Equal(t, "1", msg.Header.Get(proto.HeaderStreamSeq))

	// One entry a subject: the newest stays.
	for _, body := range []string{"1", "2"} {
		_, err = h.JetStream().Publish(ctx, proto.ReceiptLog("c1", "ann"), []byte(body))
		require.NoError(t, err)
	}
	receipts, err := h.JetStream().Stream(ctx, proto.Receipts.Name)
	require.NoError(t, err)
	require.Equal(t, uint64(1), receipts.CachedInfo().State.Msgs)
}

// A stream's bytes fit once and not twice, so that who comes second is refused
// for want of storage as well as for the name.
func TestManyMayProvisionAtOnce(t *testing.T) {
	t.Parallel()
	const each = 64 << 20
	n := servicestest.RunNATS(t, func(o *server.Options) { o.JetStreamMaxStore = int64(len(proto.Streams))*each + each/2 })
	cfg := servicestest.Config(n, nil)
	cfg.StreamMaxBytes = each
	hosts := make([]*services.Host, 6)
	for i := range hosts {
		hosts[i] = servicestest.NewHostWith(t, "test", cfg)
	}
	ctx := t.Context()
	for range 5 {
		errs := make([]error, len(hosts))
		var all sync.WaitGroup
		for i, h := range hosts {
			all.Go(func() { errs[i] = h.EnsureStreams(ctx, true, proto.Streams...) })
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		for _, row := range proto.Streams {
			require.NoError(t, hosts[0].JetStream().DeleteStream(ctx, row.Name))
		}
	}
}

func TestTooLittleStorageIsNamed(t *testing.T) {
	t.Parallel()
	const room = 64 << 20
	n := servicestest.RunNATS(t, func(o *server.Options) { o.JetStreamMaxStore = room })
	cfg := servicestest.Config(n, nil)
	cfg.StreamMaxBytes = room + 1
	h := servicestest.NewHostWith(t, "test", cfg)
	err := h.EnsureStreams(t.Context(), true, proto.Events)
	require.ErrorContains(t, err, "stream EVENTS: the server has no room for its 67108865 bytes: lower STREAM_MAX_BYTES or raise the server's max_file_store")

	// The same where an unlimited stream is to be bounded.
	stream := jetstream.StreamConfig{Name: "EVENTS", Subjects: proto.Events.Subjects, RePublish: &jetstream.RePublish{Source: "ev.>", Destination: "live.>"}}
	_, err = h.JetStream().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	err = h.EnsureStreams(t.Context(), true, proto.Events)
	require.ErrorContains(t, err, "no room for its 67108865 bytes")
}

func TestADifferenceInAStreamIsNamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*jetstream.StreamConfig)
		check  string // the error without provisioning
		widen  string // the error with it, "" if it is repaired
	}{
		{"subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"ev.user.*"} }, "subjects is [ev.user.*], not [ev.chat.*.* ev.user.*.* ev.call.*.*]", ""},
		{"window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }, "duplicate window is 1s, not 2m0s", ""},
		{"discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "discard is", ""},
		{"unlimited", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }, "bytes is unlimited", ""},
		{"direct", func(c *jetstream.StreamConfig) { c.AllowDirect = false }, "direct get is off", ""},
		{"epoch", func(c *jetstream.StreamConfig) { c.Metadata = nil }, "epoch is missing", ""},
		{"republish", func(c *jetstream.StreamConfig) { c.RePublish = nil }, "republish is off, not ev.> to live.>", "republish is off"},
		{"memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage; c.MaxBytes = 1 << 20 }, "storage is Memory, not File", "storage is Memory"},
		{"age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "age limit is 1h0m0s, not none", "age limit"},
		{"more is fine", func(c *jetstream.StreamConfig) {
			c.Duplicates = time.Hour
			c.MaxBytes = 1 << 20
			c.Subjects = append(c.Subjects, "more.*")
		}, "", ""},
	}
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			cfg := jetstream.StreamConfig{
				Name: "EVENTS", Subjects: proto.Events.Subjects, Discard: jetstream.DiscardNew, Duplicates: 2 * time.Minute,
				AllowDirect: true, MaxBytes: 64 << 20, Metadata: map[string]string{proto.MetadataEpoch: "e"},
				RePublish: &jetstream.RePublish{Source: "ev.>", Destination: "live.>"},
			}
			tt.change(&cfg)
			servicestest.Eventually(t, 5*time.Second, "the last one's files are gone and the stream is made", func() bool {
				_, err := h.JetStream().CreateStream(ctx, cfg)
				return err == nil
			})
			defer func() { require.NoError(t, h.JetStream().DeleteStream(context.WithoutCancel(ctx), "EVENTS")) }()
			expect := func(err error, want string) {
				t.Helper()
				if want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, want)
					require.ErrorContains(t, err, "stream EVENTS")
				}
			}
			expect(h.EnsureStreams(ctx, false, proto.Events), tt.check)
			expect(h.EnsureStreams(ctx, true, proto.Events), tt.widen)
			if tt.widen == "" {
				expect(h.EnsureStreams(ctx, false, proto.Events), "")
			}
		})
	}
}

func TestProductionRefusesBestEffort(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	cfg := servicestest.Config(n, nil)
	cfg.Production = true
	h := servicestest.NewHostWith(t, "test", cfg)
	require.ErrorContains(t, h.EnsureStreams(t.Context(), true, proto.Events), "durability is best-effort")
	cfg.AllowBestEffort = true
	h = servicestest.NewHostWith(t, "test", cfg)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Events))
	require.Equal(t, services.BestEffort, h.Durability(t.Context()))
}

func TestTheServersMonitoringTellsTheDurability(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t, servicestest.SyncAlways, servicestest.Monitored)
	cfg := servicestest.Config(n, nil)
	cfg.Production, cfg.NATSMonitor = true, n.Monitor()
	h := servicestest.NewHostWith(t, "test", cfg)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Events))
	require.Equal(t, services.FsyncOne, h.Durability(t.Context()))
}

func TestStreamsAreWaitedFor(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	n.Stop()
	h := servicestest.NewHost(t, "test", n, nil)
	done := make(chan error, 1)
	go func() { done <- h.EnsureStreams(context.Background(), true, proto.Events) }()
	n.Start()
	require.NoError(t, <-done)

	n.Stop()
	go func() { done <- h.EnsureStreams(context.Background(), true, proto.Events) }()
	h.Close()
	require.Error(t, <-done, "the end of the host ends the wait")
}

func TestTheCanaryMakesAppendingAPartOfReadiness(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	require.NoError(t, h.EnsureStreams(t.Context(), true, proto.Receipts))
	h.Canary(proto.Receipts, proto.DeviceLog("canary", "canary"))
	broken := servicestest.NewHost(t, "broken", n, nil)
	broken.Canary(proto.Receipts, "nowhere")
	servicestest.Run(t, h, servicestest.Service{})
	servicestest.Eventually(t, 5*time.Second, "an append", func() bool {
		s, err := h.JetStream().Stream(t.Context(), proto.Receipts.Name)
		return err == nil && s.CachedInfo().State.Msgs == 1
	})
	require.Equal(t, services.OK, h.Ready(t.Context()).Parts["append RECEIPTS"].State)
	servicestest.Eventually(t, 5*time.Second, "a refusal", func() bool {
		return broken.Ready(t.Context()).Parts["append RECEIPTS"].State == services.Down
	})
}

// STREAM_MAX_BYTES given to the provisioning role widens a stream that is smaller; without it a smaller one is left as it is.
func TestMoreBytesAreAskedForByName(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	js, err := jetstream.New(n.Connect())
	require.NoError(t, err)
	bytesAfter := func(asked int64) int64 {
		cfg := servicestest.Config(n, nil)
		cfg.StreamMaxBytes = asked
		require.NoError(t, servicestest.NewHostWith(t, "store", cfg).EnsureStreams(t.Context(), true, proto.Receipts))
		stream, err := js.Stream(t.Context(), proto.Receipts.Name)
		require.NoError(t, err)
		return stream.CachedInfo().Config.MaxBytes
	}
	require.EqualValues(t, 1<<20, bytesAfter(1<<20))
	require.EqualValues(t, 1<<20, bytesAfter(0))
	require.EqualValues(t, 2<<20, bytesAfter(2<<20))
	require.EqualValues(t, 2<<20, bytesAfter(1<<20), "never smaller")
}
