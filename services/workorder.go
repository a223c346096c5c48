package services

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

// inOrder is the priority group of a queue whose jobs keep their order.
const inOrder = "in-order"

// lastJobs is how long a host that stops goes on with the jobs that it was given.
const lastJobs = 5 * time.Second

// inOrder does jobs lane by lane until the consumer ends. When ctx ends, those
// that were given to this instance are done first, and only then may another go on.
func (w *worker) inOrder(ctx context.Context, jobs jetstream.MessagesContext, atOnce int) error {
	defer jobs.Stop()
	defer context.AfterFunc(ctx, jobs.Drain)()
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastJobs, stop) })()
	lanes := make([]chan jetstream.Msg, atOnce)
	var under sync.WaitGroup
	for i := range lanes {
		lanes[i] = make(chan jetstream.Msg, atOnce)
		under.Go(func() {
			for m := range lanes[i] {
				w.do(working, m)
			}
		})
	}
	var err error
	pin := "" // what the server calls this instance while it has the queue
	for {
		var m jetstream.Msg
		if m, err = jobs.Next(); err != nil {
			break
		}
		pin = first(m.Headers(), headerPin)
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(w.lane(m.Data())))
		lanes[hash.Sum32()%uint32(len(lanes))] <- m
	}
	for _, lane := range lanes {
		close(lane)
	}
	under.Wait()
	if ctx.Err() != nil {
		w.letGo(working, pin)
	}
	return fmt.Errorf("pull %s: %w", w.queue.Name, err)
}

// letGo lets another instance go on at once, if it is this one that the queue is
// pinned to. Where that fails another does after q.Timeout.
func (w *worker) letGo(ctx context.Context, pin string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := w.host.js.Stream(ctx, proto.Work.Name)
	var consumer jetstream.Consumer
	if err == nil {
		consumer, err = stream.Consumer(ctx, w.queue.Name)
	}
	if err == nil {
		for _, group := range consumer.CachedInfo().PriorityGroups {
			if group.PinnedClientID == pin && pin != "" {
				err = stream.UnpinConsumer(ctx, w.queue.Name, inOrder)
			}
		}
	}
	if err != nil {
		w.host.log.Debug("queue not handed over", "queue", w.queue.Name, "error", err)
	}
}
