package datadir

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is one small file of the folder.
type File string

// The files of a data folder, beside its lock and its log.
const (
	JWTSecret  File = "jwt-secret"  // the key of client tokens
	AdminToken File = "admin-token" // the bearer of the admin HTTP side
	TURNSecret File = "turn-secret" // what credentials of the TURN server are made with
	VAPIDKey   File = "vapid-key"   // of Web Push, a P-256 scalar
	NATSURL    File = "nats-url"    // where the embedded server was last seen
)

// secretBytes is 256 bits, the strength of HS256 (RFC 7518 §3.2).
const secretBytes = 32

// Secret is the secret in the file; it is made where there is none, and made
// says so.
func (d *Dir) Secret(file File) (secret string, made bool, err error) {
	secret, err = Read(d.path, file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return secret, true, d.Write(file, secret)
}

// Write sets the file, whole or not at all, readable by the owner alone.
func (d *Dir) Write(file File, content string) error {
	tmp, err := os.CreateTemp(d.path, string(file)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = tmp.WriteString(content + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(d.path, string(file)))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// Read is a file of a data folder that another process may hold. The error of
// a missing one is fs.ErrNotExist.
func Read(dir string, file File) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, string(file)))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	content := strings.TrimSpace(string(raw))
	if content == "" {
		return "", fmt.Errorf("read %s: %s is empty", file, filepath.Join(dir, string(file)))
	}
	return content, nil
}
