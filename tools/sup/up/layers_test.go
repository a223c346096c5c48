package up

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLayersEndFromTheTop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var ended []string
	started := make(chan string, 3)
	layerNamed := func(name string) layer {
		return layer{name, func(ctx context.Context) error {
			started <- name
			<-ctx.Done()
			ended = append(ended, name) // serial: one layer is stopped at a time
			return ctx.Err()
		}}
	}
	go func() {
		for range 3 {
			<-started
		}
		cancel()
	}()
	require.NoError(t, runLayers(ctx, layerNamed("bottom"), layerNamed("middle"), layerNamed("top")))
	require.Equal(t, []string{"top", "middle", "bottom"}, ended)
}

func TestLayerThatEndsEndsAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	waits := layer{"waits", func(ctx context.Context) error { <-ctx.Done(); return nil }}
	err := runLayers(t.Context(), waits, layer{"breaks", func(context.Context) error { return broken }}, waits)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "breaks: ")
	err = runLayers(t.Context(), waits, layer{"leaves", func(context.Context) error { return nil }})
	require.ErrorContains(t, err, "leaves: ended")
}

func TestErrorAtStopIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken")
	err := runLayers(ctx, layer{"stops badly", func(ctx context.Context) error { <-ctx.Done(); return broken }})
	require.ErrorIs(t, err, broken)
}
