package proto

import (
	"fmt"
	"strings"
)

// Actor is who acts: set by the gateway alone, from the verified token, and
// carried in one NATS header so that a client cannot forge it.
type Actor struct {
	User    string
	Device  string
	Name    string // display name, from the token
	Avatar  string
	Socket  string // the connection's id; excluded from CHAT − SOCK fan-out
	Gateway string // instance that holds the socket
	Backend bool   // a backend through the admin side: no user's rights apply
}

// Header is the actor as one header value: fields separated by a space, each
// percent-escaped where it holds a space, '%', a control or a non-ASCII byte.
// An empty field is '-', since NATS trims spaces at a value's ends.
func (a Actor) Header() string {
	var b strings.Builder
	role := "client"
	if a.Backend {
		role = "backend"
	}
	for i, f := range [...]string{role, a.User, a.Device, a.Socket, a.Gateway, a.Name, a.Avatar} {
		if i > 0 {
			b.WriteByte(' ')
		}
		escapeField(&b, f)
	}
	return b.String()
}

// ParseActor is the inverse of Actor.Header.
func ParseActor(header string) (Actor, error) {
	var f [7]string
	rest := header
	for i := range f {
		field, after, more := strings.Cut(rest, " ")
		if more == (i == len(f)-1) {
			return Actor{}, fmt.Errorf("parse actor: want %d fields", len(f))
		}
		v, err := unescapeField(field)
		if err != nil {
			return Actor{}, fmt.Errorf("parse actor: %w", err)
		}
		f[i], rest = v, after
	}
	if f[0] != "client" && f[0] != "backend" {
		return Actor{}, fmt.Errorf("parse actor: unknown role %q", f[0])
	}
	return Actor{Backend: f[0] == "backend", User: f[1], Device: f[2], Socket: f[3], Gateway: f[4], Name: f[5], Avatar: f[6]}, nil
}

const hexDigits = "0123456789ABCDEF"

// noField stands for an empty field; a field that is '-' itself is escaped.
const noField = "-"

func escapeField(b *strings.Builder, s string) {
	switch s {
	case "":
		b.WriteString(noField)
		return
	case noField:
		b.WriteString("%2D")
		return
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '%' || c >= 0x7f {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
}

func unescapeField(s string) (string, error) {
	switch s {
	case noField:
		return "", nil
	case "":
		return "", fmt.Errorf("empty field")
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("cut escape in %q", s)
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("bad escape in %q", s)
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), nil
}
