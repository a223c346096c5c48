package eventlog

import (
	"context"
	"fmt"

	"supmesh.dev/proto"
)

// Get reads entries of EVENTS that are known to have been stored, by position, in one
// round trip when replicas have them. An entry with Position 0 has been deleted from the
// stream, as its leader says; that is counted.
func (r *Reader) Get(ctx context.Context, positions []uint64) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out, err := r.at(ctx, positions)
	if err == nil {
		err = r.complete(ctx, positions, out)
	}
	if err != nil {
		return nil, fmt.Errorf("read %d entries: %w", len(positions), err)
	}
	return out, nil
}

// complete reads from the leader what replicas did not have of positions.
func (r *Reader) complete(ctx context.Context, positions []uint64, out []Entry) error {
	missing, highest := missingOf(positions, out)
	if len(missing) == 0 {
		return nil
	}
	count(r.reread, len(missing))
	try := func() (bool, error) {
		gets := make([][]byte, len(missing))
		for k, i := range missing {
			gets[k] = atPosition(positions[i])
		}
		found, err := r.fromLeader(ctx, proto.Events.Name, gets)
		if err != nil {
			return false, err
		}
		for k, i := range missing {
			out[i] = found[k]
		}
		missing, highest = missingOf(positions, out)
		return len(missing) == 0, nil
	}
	// Mostly the leader has all of it, and nothing else need be asked.
	if found, err := try(); found || err != nil {
		return err
	}
	if err := r.absent(ctx, proto.Events.Name, highest, try); err != nil {
		return err
	}
	count(r.gone, len(missing))
	return nil
}

func missingOf(positions []uint64, out []Entry) (missing []int, highest uint64) {
	for i := range out {
		if out[i].Position == 0 {
			missing, highest = append(missing, i), max(highest, positions[i])
		}
	}
	return missing, highest
}

// At is the entry at a position of EVENTS that is known to have been stored, from the
// leader. ok is false when the stream has deleted it.
func (r *Reader) At(ctx context.Context, position uint64) (e Entry, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out := make([]Entry, 1)
	if err := r.complete(ctx, []uint64{position}, out); err != nil {
		return Entry{}, false, fmt.Errorf("read entry %d: %w", position, err)
	}
	return out[0], out[0].Position != 0, nil
}
