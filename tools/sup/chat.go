package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/tools/sup/datadir"
)

// chatCmd groups what backends do to chats.
type chatCmd struct {
	Put    chatPut    `cmd:"" help:"Create a chat, or set its name and add members."`
	Get    chatGet    `cmd:"" help:"Show a chat with its members."`
	Add    chatAdd    `cmd:"" help:"Add members, or set their role."`
	Remove chatRemove `cmd:"" help:"End a membership."`
}

// admin is the admin HTTP side of a mesh.
type admin struct {
	keys
	URL   string          `name:"admin-url" env:"ADMIN_URL" help:"Address of the admin side." default:"http://127.0.0.1:3002"`
	Token services.Secret `name:"admin-token" env:"ADMIN_TOKEN" help:"Its bearer token; the data folder's by default."`
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 8 << 20

// call makes one request of the row's route and prints the answer.
func (a admin) call(ctx context.Context, row proto.Row, body any, ids ...string) error {
	answer, err := a.ask(ctx, row, body, ids...)
	if err != nil {
		return err
	}
	return show(answer)
}

func show(answer []byte) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, answer, "", "  "); err != nil {
		return fmt.Errorf("admin answer: %w", err)
	}
	_, err := fmt.Fprintln(os.Stdout, pretty.String())
	return err
}

// ask makes one request of the row's route. The method and path say which: the
// body holds the other fields, of a GET too.
func (a admin) ask(ctx context.Context, row proto.Row, body any, ids ...string) ([]byte, error) {
	token, err := a.find(a.Token, "ADMIN_TOKEN", datadir.AdminToken)
	if err != nil {
		return nil, err
	}
	method, path := route(row, ids...)
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, row.Timeout+5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(a.URL, "/")+path, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("admin request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("admin request: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("admin answer: %w", err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		var f proto.Failure
		if json.Unmarshal(answer, &f) == nil && f.Code != "" {
			return nil, fmt.Errorf("%s: %s (request %s)", f.Code, f.Message, f.RequestID)
		}
		return nil, fmt.Errorf("admin side answered %s", res.Status)
	}
	return answer, nil
}

// route is a catalogue row's method and path with the ids in their places.
func route(row proto.Row, ids ...string) (method, path string) {
	method, pattern, _ := strings.Cut(row.HTTP, " ")
	var b strings.Builder
	for _, part := range strings.Split(pattern, "/")[1:] {
		b.WriteByte('/')
		if strings.HasPrefix(part, "{") && len(ids) > 0 {
			part, ids = url.PathEscape(ids[0]), ids[1:]
		}
		b.WriteString(part)
	}
	return method, b.String()
}

type chatPut struct {
	admin
	Chat    string   `arg:"" help:"Chat id."`
	Name    *string  `help:"Name of the chat."`
	Members []string `arg:"" optional:"" name:"member" help:"user, or user:role."`
}

// Run creates or changes the chat.
func (c *chatPut) Run(ctx context.Context) error {
	return c.call(ctx, proto.PutChat.Row, proto.PutChatReq{ChatID: c.Chat, Name: c.Name, Members: members(c.Members)}, c.Chat)
}

// members reads user and user:role; an id may hold colons if its end is no role.
func members(args []string) []proto.Member {
	list := make([]proto.Member, 0, len(args))
	for _, arg := range args {
		m := proto.Member{UserID: arg}
		for _, role := range proto.Roles {
			if id, ok := strings.CutSuffix(arg, ":"+role); ok {
				m = proto.Member{UserID: id, Role: proto.Role(role)}
			}
		}
		list = append(list, m)
	}
	return list
}

type chatGet struct {
	admin
	Chat string `arg:"" help:"Chat id."`
}

// wholeChat is a chat as the admin side answers it, with all its members.
type wholeChat struct {
	Success bool `json:"success"`
	proto.ChatRes
	RequestID string `json:"requestId"`
}

// Run shows the chat, its members gathered from all pages.
func (c *chatGet) Run(ctx context.Context) error {
	var whole wholeChat
	req := proto.GetChatReq{ChatID: c.Chat}
	for {
		answer, err := c.ask(ctx, proto.GetChat.Row, req, c.Chat)
		if err != nil {
			return err
		}
		var page wholeChat
		if err := json.Unmarshal(answer, &page); err != nil {
			return fmt.Errorf("admin answer: %w", err)
		}
		page.Members = append(whole.Members, page.Members...)
		if whole = page; whole.NextCursor == "" {
			break
		}
		req.Cursor, whole.NextCursor = whole.NextCursor, ""
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		return fmt.Errorf("encode chat: %w", err)
	}
	return show(raw)
}

type chatAdd struct {
	admin
	Chat    string   `arg:"" help:"Chat id."`
	Members []string `arg:"" name:"member" help:"user, or user:role."`
}

// Run adds the members.
func (c *chatAdd) Run(ctx context.Context) error {
	return c.call(ctx, proto.AddMembers.Row, proto.AddMembersReq{ChatID: c.Chat, Members: members(c.Members)}, c.Chat)
}

type chatRemove struct {
	admin
	Chat   string `arg:"" help:"Chat id."`
	User   string `arg:"" help:"User id."`
	Reason string `help:"left, removed or banned." enum:"left,removed,banned" default:"removed"`
}

// Run ends the membership.
func (c *chatRemove) Run(ctx context.Context) error {
	return c.call(ctx, proto.RemoveMember.Row, proto.RemoveMemberReq{ChatID: c.Chat, UserID: c.User, Reason: c.Reason}, c.Chat, c.User)
}
