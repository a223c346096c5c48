package datadir

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecretIsMadeOnceAndPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	dir, err := Open(path)
	require.NoError(t, err)
	secret, made, err := dir.Secret(JWTSecret)
	require.NoError(t, err)
	require.True(t, made)
	require.Len(t, secret, 43)
	other, _, err := dir.Secret(AdminToken)
	require.NoError(t, err)
	require.NotEqual(t, secret, other)
	require.NoError(t, dir.Close())

	dir, err = Open(path)
	require.NoError(t, err)
	defer dir.Close()
	again, made, err := dir.Secret(JWTSecret)
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, secret, again)

	for name, mode := range map[string]fs.FileMode{".": 0o700, "jwt-secret": 0o600, "admin-token": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	left, err := filepath.Glob(filepath.Join(path, "*.*"))
	require.NoError(t, err)
	require.Empty(t, left, "no half-written file stays")
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	first, err := Open(path)
	require.NoError(t, err)
	_, err = Open(path)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, first.Close())
	second, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

func TestReadOfNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Read(dir, NATSURL)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nats-url"), []byte(" \n"), 0o600))
	_, err = Read(dir, NATSURL)
	require.ErrorContains(t, err, "is empty")
}
