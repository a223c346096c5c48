package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"supmesh.dev/proto"
)

// Cmd is the command `bench`, to be mounted in a kong command line. Each of
// its subcommands has Run(ctx).
type Cmd struct {
	Idle     IdleCmd     `cmd:"" help:"Memory and CPU of connections that do nothing, and connects a second."`
	Fanout   FanoutCmd   `cmd:"" help:"One large chat, everybody connected: deliveries a second."`
	Pairs    PairsCmd    `cmd:"" help:"Many chats of two: messages a second and their latency."`
	Storm    StormCmd    `cmd:"" help:"One very large chat: a message, everybody's receipts of it at once, many who type."`
	Presence PresenceCmd `cmd:"" help:"Who is here: what it costs at rest, and what is seen when a gateway with everybody on it dies."`
}

// Options are what every scenario takes.
type Options struct {
	Target   string   `enum:"mesh,socketio-npm" default:"mesh" help:"What to measure: mesh, or socketio-npm (stock Socket.IO in one Node process)."`
	Profile  string   `enum:"socketio,ws" default:"socketio" help:"Client profile: socketio or ws."`
	Runs     int      `default:"1" help:"Runs on a fresh system each, 1 to 9; medians are shown."`
	Fsync    string   `enum:"default,always" default:"default" help:"Log: default acks from the page cache, always after an fsync of each message."`
	GOGC     string   `name:"gogc" help:"GOGC of the services; their own choice by default."`
	Env      []string `help:"More NAME=value for the services."`
	JSON     bool     `name:"json" help:"Print JSON instead of tables."`
	gateways int      // of the mesh, 1 where 0
	Root     string   `help:"The repository; by default the one around the working directory."`
	Cache    string   `help:"Folder for built programs; by default in the user's cache."`
	KeepLog  bool     `help:"Keep the directory with the processes' output and say where it is."`

	Out      io.Writer `kong:"-"` // results; os.Stdout where nil
	Progress io.Writer `kong:"-"` // os.Stderr where nil
}

// IdleCmd is `bench idle`.
type IdleCmd struct {
	Options     `embed:""`
	Connections int           `short:"n" default:"19000" help:"Connections; a process may have 20,000 descriptors here."`
	InChats     bool          `default:"true" negatable:"" help:"Each user is a member of one chat of two."`
	Settle      time.Duration `default:"5s" help:"Quiet time before memory is read."`
	For         time.Duration `default:"30s" help:"How long idle CPU is measured; over one heartbeat interval."`
}

// Run measures and prints.
func (c *IdleCmd) Run(ctx context.Context) error {
	if err := errors.Join(
		within("connections", c.Connections, 1, 100_000), between("settle", c.Settle, 0, time.Minute),
		between("for", c.For, 10*time.Millisecond, 10*time.Minute),
	); err != nil {
		return err
	}
	l := idleLoad{connections: c.Connections, inChats: c.InChats, settle: c.Settle, length: c.For}
	title := fmt.Sprintf("idle: %d connections", c.Connections)
	return c.run(ctx, title, c.Connections, func(ctx context.Context, b *bench, s *system) ([]result, error) {
		r, err := b.idle(ctx, s, l)
		return []result{r}, err
	})
}

// Rates are what the scenarios with messages take.
type Rates struct {
	Rate    []float64     `help:"Messages a second offered, one step each; without any, the highest rate that holds is searched."`
	From    float64       `default:"500" help:"Where the search begins."`
	For     time.Duration `default:"10s" help:"Measured length of a step."`
	Warm    time.Duration `default:"2s" help:"Load before the measured part of a step."`
	Content int           `default:"64" help:"Bytes of a message's encryptedContent."`
	Limit   time.Duration `default:"100ms" help:"p99 of a delivery above which a rate does not count as held."`
}

// FanoutCmd is `bench fanout`.
type FanoutCmd struct {
	Options `embed:""`
	Rates   `embed:""`
	Members int           `default:"1000" help:"Members of the chat, all connected."`
	Pace    time.Duration `default:"1ms" help:"Shortest time between two rounds of the reading loop: cheaper counting, latency up to this much longer."`
}

// Run measures and prints.
func (c *FanoutCmd) Run(ctx context.Context) error {
	if err := within("members", c.Members, 2, 19_000); err != nil {
		return err
	}
	l := load{scenario: "fanout", chats: 1, members: c.Members, pace: c.Pace}
	return c.measure(ctx, &c.Options, l, fmt.Sprintf("fanout: one chat of %d", c.Members))
}

// PairsCmd is `bench pairs`.
type PairsCmd struct {
	Options `embed:""`
	Rates   `embed:""`
	Chats   int           `default:"1000" help:"Chats."`
	Members int           `default:"2" help:"Members of each, all connected."`
	Pace    time.Duration `default:"250us" help:"Shortest time between two rounds of the reading loop: cheaper counting, latency up to this much longer."`
}

// Run measures and prints.
func (c *PairsCmd) Run(ctx context.Context) error {
	if err := errors.Join(within("chats", c.Chats, 1, 9_500), within("members", c.Members, 2, 1_000)); err != nil {
		return err
	}
	l := load{scenario: "pairs", chats: c.Chats, members: c.Members, pace: c.Pace}
	return c.measure(ctx, &c.Options, l, fmt.Sprintf("pairs: %d chats of %d", c.Chats, c.Members))
}

// StormCmd is `bench storm`.
type StormCmd struct {
	Options    `embed:""`
	Members    int           `default:"10000" help:"Members of the chat, all connected."`
	Typists    int           `default:"2000" help:"Members who type, each three times within 2 s."`
	Viewers    int           `default:"500" help:"Other members, who have the chat open meanwhile."`
	Messages   int           `default:"20" help:"Messages measured, one a second."`
	ReceiptsIn time.Duration `default:"0s" help:"Time over which the receipts are sent; 0s is all at once."`
	Content    int           `default:"64" help:"Bytes of a message's encryptedContent."`
	Limit      time.Duration `default:"1s" help:"p99 of a delivery above which the messages do not count as held."`
	Pace       time.Duration `default:"1ms" help:"Shortest time between two rounds of the reading loop: cheaper counting, latency up to this much longer."`
}

// Run measures and prints.
func (c *StormCmd) Run(ctx context.Context) error {
	if c.Target != "mesh" {
		return errors.New("the stock Socket.IO server has neither receipts nor typing: storm measures only --target mesh")
	}
	if err := errors.Join(
		within("members", c.Members, proto.SmallChat+1, 19_000), // up to SmallChat each receipt is told by itself
		within("typists", c.Typists, 1, c.Members-2), within("viewers", c.Viewers, 1, c.Members-1-c.Typists),
		within("messages", c.Messages, 1, 600), within("content", c.Content, minContent, proto.MaxContent),
		between("receipts-in", c.ReceiptsIn, 0, time.Minute),
		between("limit", c.Limit, time.Millisecond, maxLatency), between("pace", c.Pace, 0, 100*time.Millisecond),
	); err != nil {
		return err
	}
	l := stormLoad{
		members: c.Members, typists: c.Typists, viewers: c.Viewers, messages: c.Messages, content: c.Content, pace: c.Pace, limit: c.Limit,
		giveUp: proto.RequestTimeout + 3*time.Second, receiptsIn: c.ReceiptsIn, typingFor: 2 * time.Second,
		ends: proto.TypingFor + time.Second, quiet: 500 * time.Millisecond,
	}
	title := fmt.Sprintf("storm: one chat of %d, receipts in %v, %d typists, %d viewers", c.Members, c.ReceiptsIn, c.Typists, c.Viewers)
	return c.run(ctx, title, c.Members, func(ctx context.Context, b *bench, s *system) ([]result, error) { return b.storm(ctx, s, l) })
}

// PresenceCmd is `bench presence`.
type PresenceCmd struct {
	Options   `embed:""`
	Users     int           `default:"10000" help:"Users, all connected to one gateway."`
	Group     int           `default:"1000" help:"Users of one chat; they see each other, and the chat's observers watch them all."`
	Observers int           `default:"1" help:"Observers of each chat, on the other gateway."`
	Settle    time.Duration `default:"5s" help:"Quiet time before the measurement at rest."`
	For       time.Duration `default:"60s" help:"How long rest is measured."`
	ReturnIn  time.Duration `default:"8s" help:"Time within which half of the users return after the gateway's death."`
	Limit     time.Duration `default:"70s" help:"Time by which the others are to be shown offline."`
	Pace      time.Duration `default:"2ms" help:"Shortest time between two rounds of the reading loop."`
}

// Run measures and prints.
func (c *PresenceCmd) Run(ctx context.Context) error {
	if c.Target != "mesh" {
		return errors.New("the stock Socket.IO server knows no presence: presence measures only --target mesh")
	}
	if err := errors.Join(
		within("users", c.Users, 2, 19_000), within("group", c.Group, 1, proto.MaxSubscriptions), within("observers", c.Observers, 1, 100),
		between("settle", c.Settle, 0, time.Minute), between("for", c.For, 10*time.Millisecond, 10*time.Minute),
		between("return-in", c.ReturnIn, 0, time.Minute), between("limit", c.Limit, time.Second, 10*time.Minute),
		between("pace", c.Pace, 0, 100*time.Millisecond),
	); err != nil {
		return err
	}
	c.gateways = 2
	l := presenceLoad{
		users: c.Users, group: c.Group, observers: c.Observers, settle: c.Settle, length: c.For,
		returnIn: c.ReturnIn, limit: c.Limit, quiet: 3 * time.Second, pace: c.Pace,
	}
	title := fmt.Sprintf("presence: %d users on one gateway, watched by %d each from another; half of them return within %v of its death", c.Users, c.Observers, c.ReturnIn)
	connections := c.Users + c.Observers*((c.Users+c.Group-1)/c.Group)
	return c.run(ctx, title, connections, func(ctx context.Context, b *bench, s *system) ([]result, error) { return b.presence(ctx, s, l) })
}

// measure runs the steps asked for, or searches.
func (r *Rates) measure(ctx context.Context, o *Options, l load, title string) error {
	l.giveUp = 4 * time.Second
	l.warm, l.length, l.content, l.limit = r.Warm, r.For, r.Content, r.Limit
	if err := errors.Join(
		between("for", r.For, 10*time.Millisecond, 10*time.Minute), between("warm", r.Warm, 0, time.Minute),
		between("pace", l.pace, 0, 100*time.Millisecond), between("limit", r.Limit, time.Millisecond, maxLatency),
		within("content", r.Content, minContent, proto.MaxContent),
	); err != nil {
		return err
	}
	rates := r.Rate
	if len(rates) == 0 {
		rates = []float64{r.From}
	}
	for _, rate := range rates {
		if rate*(r.For+r.Warm).Seconds() < 2 || rate*(r.For+r.Warm).Seconds() > 1<<24 {
			return fmt.Errorf("--rate %v: want 2 to %d messages a step", rate, 1<<24)
		}
	}
	return o.run(ctx, title, l.chats*l.members, func(ctx context.Context, b *bench, s *system) ([]result, error) {
		if len(r.Rate) == 0 {
			return b.search(ctx, s, l, r.From)
		}
		return b.each(ctx, s, l, r.Rate)
	})
}

func (o *Options) defaults() {
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
}

func within(name string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("--%s %d: want %d to %d", name, n, low, high)
	}
	return nil
}

func between(name string, d, low, high time.Duration) error {
	if d < low || d > high {
		return fmt.Errorf("--%s %v: want %v to %v", name, d, low, high)
	}
	return nil
}
