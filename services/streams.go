package services

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

// EnsureStreams makes sure that the streams are what the catalogue says.
// With provision it creates what is missing and widens what can be widened;
// without, and for what cannot be applied, a difference is an error that names
// it. While NATS is away it waits until ctx or the host ends. In production it refuses a
// server that may lose acknowledged messages, unless ALLOW_BEST_EFFORT.
func (h *Host) EnsureStreams(ctx context.Context, provision bool, rows ...proto.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.runCtx, cancel)()
	for _, row := range rows {
		if err := h.retryStream(ctx, provision, row); err != nil {
			return fmt.Errorf("stream %s: %w", row.Name, err)
		}
	}
	class := h.Durability(ctx)
	h.log.Info("streams are as expected", "durability", class)
	if class == BestEffort && h.cfg.Production && !h.cfg.AllowBestEffort {
		return fmt.Errorf("durability is %s: a power cut loses acknowledged messages; set sync_interval: always (and NATS_MONITOR_URL, to have it seen), or ALLOW_BEST_EFFORT", class)
	}
	return nil
}

func (h *Host) retryStream(ctx context.Context, provision bool, row proto.Stream) error {
	refused := 0
	for n := 1; ; n++ {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := h.ensureStream(once, provision, row)
		cancel()
		switch {
		case ctx.Err() != nil:
			return err
		case isAway(err):
			h.log.Warn("waiting for jetstream", "stream", row.Name, "error", err)
		case isOvertaken(err) && refused < maxOvertaken:
			refused++
		default:
			return err
		}
		if !pause(ctx, backoff(n)) {
			return err
		}
	}
}

// Codes of the JetStream API that nats.go has no name for.
const (
	codeStorageExceeded jetstream.ErrorCode = 10047
	codeStoreFailed     jetstream.ErrorCode = 10049
	codeSubjectOverlap  jetstream.ErrorCode = 10065
)

// maxOvertaken is how often a refusal may be another's creation of the same
// stream; with the pauses in between that is about a second.
const maxOvertaken = 5

// isOvertaken says that a creation was refused for what another instance's
// creation of the same stream, a moment ago, explains too: the name and the
// subjects are in use, the bytes of a stream count twice when it is created
// again, and its folder is being made by somebody else. Who looks again finds
// the stream, or has the answer.
func isOvertaken(err error) bool {
	var refusal *jetstream.APIError
	return errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.As(err, &refusal) &&
		slices.Contains([]jetstream.ErrorCode{codeStorageExceeded, codeStoreFailed, codeSubjectOverlap}, refusal.ErrorCode)
}

// withRoom says what a refusal for want of storage is about.
func withRoom(err error, want jetstream.StreamConfig) error {
	var refusal *jetstream.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode != codeStorageExceeded {
		return err
	}
	return fmt.Errorf("the server has no room for its %d bytes: lower STREAM_MAX_BYTES or raise the server's max_file_store: %w", want.MaxBytes, err)
}

// isAway says that JetStream did not answer: no connection, no leader yet.
func isAway(err error) bool {
	return err != nil && (isDisconnected(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrJetStreamNotEnabled))
}

func (h *Host) ensureStream(ctx context.Context, provision bool, row proto.Stream) error {
	want := h.streamConfig(row)
	stream, err := h.js.Stream(ctx, row.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !provision {
			return fmt.Errorf("is missing; the provisioning role creates it (PROVISION)")
		}
		if want.Metadata, err = newEpoch(); err != nil {
			return err
		}
		stream, err = h.js.CreateStream(ctx, want)
	}
	if err != nil {
		return withRoom(err, want)
	}
	have := stream.CachedInfo().Config
	fixed, gaps := compare(have, want)
	if provision && h.cfg.StreamMaxBytes > have.MaxBytes && have.MaxBytes > 0 {
		// Asked for by name; without STREAM_MAX_BYTES a smaller stream is somebody's choice.
		gaps = append(gaps, fmt.Sprintf("bytes is %d, not %d", have.MaxBytes, want.MaxBytes))
	}
	if len(fixed) > 0 {
		return fmt.Errorf("cannot be changed to what is expected: %s", strings.Join(fixed, "; "))
	}
	if len(gaps) == 0 {
		return nil
	}
	if !provision {
		return fmt.Errorf("differs from what is expected: %s", strings.Join(gaps, "; "))
	}
	next, err := widen(have, want, h.cfg.StreamMaxBytes)
	if err != nil {
		return err
	}
	h.log.Info("stream widened", "stream", row.Name, "changes", strings.Join(gaps, "; "))
	if _, err := h.js.UpdateStream(ctx, next); err != nil {
		return fmt.Errorf("widen (%s): %w", strings.Join(gaps, "; "), withRoom(err, next))
	}
	return nil
}

func (h *Host) streamConfig(row proto.Stream) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: row.Name, Description: row.Purpose, Subjects: row.Subjects,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: -1, MaxBytes: row.MaxBytes, Replicas: h.cfg.Replicas,
		// A full stream is an error to the sender, never the loss of the oldest.
		Discard:     jetstream.DiscardNew,
		Duplicates:  row.Dedup,
		AllowDirect: true,
	}
	if row.MaxMsgsPerSubject > 0 {
		// Newest-wins needs the old entry to go: DiscardNew alone keeps this,
		// since only the per-subject limit is reached.
		cfg.MaxMsgsPerSubject = row.MaxMsgsPerSubject
	}
	if row.Queue {
		cfg.Retention = jetstream.WorkQueuePolicy
	}
	if row.Schedules {
		// The server refuses schedules together with DiscardNew.
		cfg.AllowMsgSchedules, cfg.Discard = true, jetstream.DiscardOld
	}
	if h.cfg.StreamMaxBytes > 0 {
		cfg.MaxBytes = h.cfg.StreamMaxBytes
	}
	if row.RePublishFrom != "" {
		cfg.RePublish = &jetstream.RePublish{Source: row.RePublishFrom, Destination: row.RePublishTo}
	}
	return cfg
}

// compare names the differences: those that nothing can repair, and those that
// widening can. More than is wanted (copies, bytes, window) is no difference.
func compare(have, want jetstream.StreamConfig) (fixed, gaps []string) {
	note := func(list *[]string, differs bool, what string, has, wants any) {
		if differs {
			*list = append(*list, fmt.Sprintf("%s is %v, not %v", what, has, wants))
		}
	}
	republish := func(r *jetstream.RePublish) string {
		if r == nil {
			return "off"
		}
		return r.Source + " to " + r.Destination
	}
	note(&fixed, have.Storage != want.Storage, "storage", have.Storage, want.Storage)
	note(&fixed, have.Retention != want.Retention, "retention", have.Retention, want.Retention)
	note(&fixed, have.MaxMsgsPerSubject != want.MaxMsgsPerSubject, "messages per subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	note(&fixed, have.MaxAge != 0, "age limit", have.MaxAge, "none")
	note(&fixed, have.MaxMsgs > 0, "message limit", have.MaxMsgs, "none")
	note(&fixed, republish(have.RePublish) != republish(want.RePublish), "republish", republish(have.RePublish), republish(want.RePublish))
	note(&fixed, have.Sealed, "sealed", true, false)

	missing := slices.DeleteFunc(slices.Clone(want.Subjects), func(s string) bool { return slices.Contains(have.Subjects, s) })
	note(&gaps, len(missing) > 0, "subjects", have.Subjects, want.Subjects)
	note(&gaps, have.Discard != want.Discard, "discard", have.Discard, want.Discard)
	note(&gaps, have.Duplicates < want.Duplicates, "duplicate window", have.Duplicates, want.Duplicates)
	note(&gaps, have.MaxBytes <= 0, "bytes", "unlimited", want.MaxBytes)
	note(&gaps, have.Replicas < want.Replicas, "copies", have.Replicas, want.Replicas)
	note(&gaps, !have.AllowDirect, "direct get", "off", "on")
	note(&gaps, want.AllowMsgSchedules && !have.AllowMsgSchedules, "schedules", "off", "on")
	note(&gaps, have.Metadata[proto.MetadataEpoch] == "", "epoch", "missing", "set")
	return fixed, gaps
}

// widen is have with what it lacks of want; asked is STREAM_MAX_BYTES, 0 if unset.
func widen(have, want jetstream.StreamConfig, asked int64) (jetstream.StreamConfig, error) {
	next := have
	for _, s := range want.Subjects {
		if !slices.Contains(next.Subjects, s) {
			next.Subjects = append(slices.Clone(next.Subjects), s)
		}
	}
	next.Discard, next.AllowDirect = want.Discard, true
	next.AllowMsgSchedules = have.AllowMsgSchedules || want.AllowMsgSchedules
	next.Duplicates = max(have.Duplicates, want.Duplicates)
	next.Replicas = max(have.Replicas, want.Replicas)
	if have.MaxBytes <= 0 || asked > have.MaxBytes {
		next.MaxBytes = want.MaxBytes
	}
	if have.Metadata[proto.MetadataEpoch] == "" {
		epoch, err := newEpoch()
		if err != nil {
			return next, err
		}
		maps.Copy(epoch, have.Metadata)
		next.Metadata = epoch
	}
	return next, nil
}

// newEpoch is the metadata of a new log. The epoch is secret-grade: keys for
// what clients hold are derived from it.
func newEpoch() (map[string]string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("make an epoch: %w", err)
	}
	return map[string]string{proto.MetadataEpoch: hex.EncodeToString(b[:])}, nil
}

// Epoch is the epoch of a stream: another epoch is another log.
func (h *Host) Epoch(ctx context.Context, row proto.Stream) (string, error) {
	stream, err := h.js.Stream(ctx, row.Name)
	if err != nil {
		return "", fmt.Errorf("epoch of stream %s: %w", row.Name, err)
	}
	epoch := stream.CachedInfo().Config.Metadata[proto.MetadataEpoch]
	if epoch == "" {
		return "", fmt.Errorf("epoch of stream %s: missing", row.Name)
	}
	return epoch, nil
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
