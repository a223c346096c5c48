package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const protoDir = "../../proto"

// TestCommittedContract is the check on what is committed: generated files as
// gen writes them, and nothing that an older client could not live with.
func TestCommittedContract(t *testing.T) {
	t.Parallel()
	require.NoError(t, run("../..", true, false))
}

func TestGenerateIsRepeatable(t *testing.T) {
	t.Parallel()
	first, err := generate(protoDir)
	require.NoError(t, err)
	second, err := generate(protoDir)
	require.NoError(t, err)
	require.Equal(t, slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second)))
	for path := range first {
		require.Equal(t, string(first[path]), string(second[path]), path)
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"API.md": []byte("a"), "json/X.json": []byte("{}")}
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"nothing":  {func(string) error { return nil }, ""},
		"edited":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, "API.md"), []byte("b"), 0o600) }, "API.md differs"},
		"removed":  {func(dir string) error { return os.Remove(filepath.Join(dir, "json", "X.json")) }, "json/X.json differs"},
		"stale":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "json", "Y.json"), nil, 0o600) }, "json/Y.json is stale"},
		"released": {func(dir string) error { return writeFile(filepath.Join(dir, releasedDir, "json", "Y.json"), nil) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, write(dir, files))
			require.NoError(t, c.change(dir))
			err := drift(dir, files)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NoError(t, write(dir, files))
			require.NoError(t, drift(dir, files), "writing again repairs it")
		})
	}
}

func TestSettingsDrift(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	page := []byte("a page")
	require.ErrorContains(t, pageDrift(root, page), "docs/configuration.md has drifted", "missing")
	require.NoError(t, writeFile(filepath.Join(root, settingsPage), page))
	require.NoError(t, pageDrift(root, page))
	require.ErrorContains(t, pageDrift(root, []byte("another")), "run make gen")
}

func TestReleaseRefusesAnIncompatibleChange(t *testing.T) {
	t.Parallel()
	files, err := generate(protoDir)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, write(dir, files))
	require.ErrorContains(t, compatible(dir), "compare with the released contract", "no release is no pass")
	require.NoError(t, makeRelease(dir, files))
	require.NoError(t, compatible(dir))

	files["codes.json"] = []byte(`{"errors":[],"closes":[]}`)
	require.NoError(t, write(dir, files))
	require.ErrorContains(t, compatible(dir), "INTERNAL_ERROR: code removed")
	require.ErrorContains(t, makeRelease(dir, files), "INTERNAL_ERROR: code removed")
}
