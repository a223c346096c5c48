package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	jwksTimeout = 5 * time.Second
	jwksRefresh = 10 * time.Minute
	// A kid nobody knows makes one fetch a while, whoever sends it; the wait is
	// short, because the connecting client stands in it.
	unknownEvery = 15 * time.Second
	unknownWait  = 500 * time.Millisecond
)

// keySet is the public keys at a URL, refreshed in the background.
type keySet struct{ keys keyfunc.Keyfunc }

func newKeySet(ctx context.Context, url string) (*keySet, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{url}, keyfunc.Override{
		Client:            &http.Client{Timeout: jwksTimeout},
		HTTPTimeout:       jwksTimeout,
		RateLimitWaitMax:  unknownWait,
		RefreshInterval:   jwksRefresh,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownEvery), 1),
	})
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	return &keySet{keys: keys}, nil
}

func (k *keySet) keyFunc(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		key, err := k.keys.KeyfuncCtx(ctx)(t)
		if err == nil {
			return key, nil
		}
		// Not one key has ever been fetched: then it is not the token's fault.
		all, readErr := k.keys.Storage().KeyReadAll(ctx)
		if readErr != nil || len(all) == 0 {
			return nil, ErrUnavailable
		}
		switch {
		case errors.Is(err, jwkset.ErrKeyNotFound):
			return nil, errUnknownKey
		case strings.Contains(err.Error(), "rate limiter"): // untyped in jwkset: the fetch was not even tried
			return nil, ErrUnavailable
		}
		return nil, err
	}
}

var errUnknownKey = errors.New("no key of this id")
