package fcm

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"supmesh.dev/notify/push/guard"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// scope lets a token do nothing but send.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// account is a service account's key file.
type account struct {
	Type     string `json:"type"`
	Project  string `json:"project_id"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"`
	Email    string `json:"client_email"`
	TokenURL string `json:"token_uri"`
}

// readAccount reads a key file; its errors quote nothing of it.
func readAccount(secret services.Secret) (account, error) {
	var a account
	if err := wire.Restore([]byte(secret.Reveal()), &a); err != nil {
		return a, errors.New("fcm: credentials: must be a service account's key file, JSON")
	}
	if a.Type != "service_account" || a.Project == "" || a.Email == "" || a.TokenURL == "" {
		return a, errors.New("fcm: credentials: must be those of a service account, with project_id, client_email and token_uri")
	}
	block, _ := pem.Decode([]byte(a.Key))
	if block == nil {
		return a, errors.New("fcm: credentials: private_key must be PEM")
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		return a, errors.New("fcm: credentials: private_key must be a PKCS #8 key")
	}
	return a, nil
}

// tokens is access tokens, one for all until it ends.
type tokens struct {
	config jwt.Config
	client *guard.Client

	mu     sync.Mutex
	source oauth2.TokenSource
	held   string
}

func newTokens(a account, client *guard.Client) *tokens {
	t := &tokens{client: client, config: jwt.Config{
		Email: a.Email, PrivateKey: []byte(a.Key), PrivateKeyID: a.KeyID, Scopes: []string{scope}, TokenURL: a.TokenURL,
	}}
	t.renew()
	return t
}

// renew forgets the token there is. The context carries the client alone: a token
// is no one request's, and the client bounds the time.
func (t *tokens) renew() {
	t.source = t.config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, t.client.Client))
}

// refusedError is an answer of the token endpoint; its body may quote the assertion.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("token endpoint answered %d", e.status) }

var errNoToken = errors.New("the token endpoint did not answer")

// get is a token that is good for a while.
func (t *tokens) get() (string, error) {
	t.mu.Lock()
	source := t.source
	t.mu.Unlock()
	token, err := source.Token()
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil:
		return "", &refusedError{refused.Response.StatusCode}
	case err != nil:
		return "", errNoToken // what err says has the address, and no cause to branch on
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = token.AccessToken
	return token.AccessToken, nil
}

// drop gives up a token that was refused, once.
func (t *tokens) drop(bearer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == bearer {
		t.held = ""
		t.renew()
	}
}
