package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"supmesh.dev/proto"
)

type callCmd struct {
	bus
	Call string `arg:"" help:"Call id."`
	JSON bool   `name:"json" help:"Print the answer as it comes."`
}

// Run asks signaling, as a backend, how a call is.
func (c *callCmd) Run(ctx context.Context) error {
	conn, err := c.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := askService(ctx, conn, proto.GetCall.Row, proto.GetCallReq{CallID: c.Call})
	if err != nil {
		return err
	}
	if c.JSON {
		return show(answer)
	}
	var state proto.CallState
	if err := json.Unmarshal(answer, &state); err != nil {
		return fmt.Errorf("answer of signaling: %w", err)
	}
	return showCall(os.Stdout, state, time.Now())
}

// showCall prints what is known of one call.
func showCall(out io.Writer, s proto.CallState, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, name+"\t"+format+"\n", args...) // Flush tells
	}
	line("call", "%s", s.CallID)
	line("type", "%s", s.CallType)
	line("caller", "%s", s.CallerID)
	if s.ChatID != "" {
		line("chat", "%s", s.ChatID)
	}
	line("status", "%s%s%s", s.Status, behind(": ", s.Reason), behind(", by ", s.EndedBy))
	line("began", "%s", moment(s.CreatedAt, now))
	switch {
	case s.AnsweredAt != nil:
		line("answered", "%s, after %s", moment(*s.AnsweredAt, now), s.AnsweredAt.Sub(s.CreatedAt.Time).Round(time.Second))
	case s.Status == proto.CallRinging:
		line("rings until", "%s, %s left", s.RingExpiresAt.UTC().Format(time.RFC3339), max(s.RingExpiresAt.Sub(now), 0).Round(time.Second))
	}
	if s.EndedAt != nil {
		line("ended", "%s", moment(*s.EndedAt, now))
		if s.AnsweredAt != nil {
			line("talked", "%s", s.EndedAt.Sub(s.AnsweredAt.Time).Round(time.Second))
		}
	}
	line("version", "%d", s.Version)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print call: %w", err)
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nUSER\tSTATE\tDEVICE")
	for _, p := range s.Participants {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", p.UserID, p.State, orNone(p.DeviceID, "-"))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print call: %w", err)
	}
	return nil
}

// moment is a time and how long it has been.
func moment(at proto.Timestamp, now time.Time) string {
	return fmt.Sprintf("%s, %s ago", at.UTC().Format(time.RFC3339), now.Sub(at.Time).Round(time.Second))
}

// behind is text after what leads to it, or nothing.
func behind(lead, text string) string {
	if text == "" {
		return ""
	}
	return lead + text
}
