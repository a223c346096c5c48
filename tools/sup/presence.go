package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

type presenceCmd struct {
	bus
	User string `arg:"" help:"User id."`
	JSON bool   `name:"json" help:"Print the answer as it comes."`
}

// Run asks presence, as a backend, how a user is there.
func (c *presenceCmd) Run(ctx context.Context) error {
	conn, err := c.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := askService(ctx, conn, proto.GetPresence.Row, proto.PresenceOf{UserID: c.User})
	if err != nil {
		return err
	}
	if c.JSON {
		return show(answer)
	}
	var state proto.PresenceState
	if err := json.Unmarshal(answer, &state); err != nil {
		return fmt.Errorf("answer of presence: %w", err)
	}
	return showPresence(os.Stdout, state, time.Now())
}

// askService makes one request of the row's subject, as a backend on NATS does.
func askService(ctx context.Context, conn *nats.Conn, row proto.Row, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, row.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	answer, err := conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: row.Subject, Data: raw, Header: nats.Header{
		proto.HeaderActor:    {proto.Actor{Backend: true}.Header()},
		proto.HeaderDeadline: {strconv.FormatInt(deadline.UnixMilli(), 10)},
	}})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("nobody answers %s: is the service running? `sup health` says", row.Subject)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%s was not answered within %v", row.Subject, row.Timeout)
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", row.Subject, err)
	}
	if answer.Header.Get(proto.HeaderError) != "" {
		var f proto.Failure
		if err := json.Unmarshal(answer.Data, &f); err != nil {
			return nil, fmt.Errorf("%s: %s", row.Subject, answer.Header.Get(proto.HeaderError))
		}
		return nil, fmt.Errorf("%s: %s (request %s)", f.Code, f.Message, f.RequestID)
	}
	return answer.Data, nil
}

// showPresence prints what is known of one user.
func showPresence(out io.Writer, s proto.PresenceState, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, name+"\t"+format+"\n", args...) // Flush tells
	}
	line("user", "%s", s.UserID)
	if s.Status == s.Effective {
		line("status", "%s", s.Status)
	} else {
		line("status", "%s; others see %s", s.Status, s.Effective)
	}
	if own := s.Own; own != nil {
		if own.Status != "" {
			line("set", "%s%s, by %s", own.Status, until(own.StatusUntil), orNone(own.By, "an unnamed device"))
		}
		if own.CustomStatus != "" {
			line("says", "%s%s", own.CustomStatus, until(own.CustomUntil))
		}
	}
	if s.LastSeen > 0 {
		at := time.UnixMilli(s.LastSeen)
		line("last seen", "%s, %s ago", at.UTC().Format(time.RFC3339), now.Sub(at).Round(time.Second))
	} else {
		line("last seen", "-")
	}
	line("version", "%d", s.Version)
	if len(s.Sessions) == 0 {
		line("sessions", "none")
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print presence: %w", err)
	}
	if len(s.Sessions) == 0 {
		return nil
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nSESSION\tDEVICE\tSTATUS\tSTATE\tGATEWAY\tCONNECTED")
	for _, one := range s.Sessions {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, one.DeviceID, one.Status, one.State, one.Gateway, one.ConnectedAt.UTC().Format(time.RFC3339))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print presence: %w", err)
	}
	return nil
}

func until(at *proto.Timestamp) string {
	if at == nil {
		return ""
	}
	return " until " + at.UTC().Format(time.RFC3339)
}

func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}
