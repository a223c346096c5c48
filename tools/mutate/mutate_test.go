package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// subject is a package with a mutant of each kind.
const subject = `package subject

const two = 1 + 1

func Grade(n int, strict bool) (s string, ok bool) {
	if n < 0 ||
		n > 100 {
		return "", false
	}
	if strict {
		n -= 10
		n--
	}
	if n+two >= 52 && s == "" {
		s = "good"
	}
	return s, true
}
`

// strong notices every mutant of subject, weak none but panics.
const (
	strong = `package subject

import "testing"

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		n      int
		strict bool
		s      string
		ok     bool
	}{
		{-1, false, "", false}, {0, false, "", true}, {100, false, "good", true}, {101, false, "", false}, {49, false, "", true},
		{50, false, "good", true}, {51, false, "good", true}, {60, true, "", true}, {61, true, "good", true}, {62, true, "good", true},
	} {
		if s, ok := Grade(c.n, c.strict); s != c.s || ok != c.ok {
			t.Error(c, s, ok)
		}
	}
}
`
	weak = `package subject

import "testing"

func TestGrade(*testing.T) { Grade(1, true) }
`
)

// module makes a module of subject with a test; it is outside the workspace.
func module(t *testing.T, test string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module subject\n\ngo 1.26\n", "subject.go": subject, "subject_test.go": test} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// The tests are serial: the go command works in the folder of the process.

func TestStrongTestsNoticeAll(t *testing.T) {
	t.Chdir(module(t, strong))
	t.Setenv("GOWORK", "off")
	var out strings.Builder
	require.NoError(t, run([]string{"-v", "-floor", "100", "."}, &out))
	require.Equal(t, "100.0 %  subject: 0 of 13 mutants unnoticed\n", out.String())
	src, err := os.ReadFile("subject.go")
	require.NoError(t, err)
	require.Equal(t, subject, string(src), "no file is changed")
}

func TestWeakTestsAreUnderTheFloor(t *testing.T) {
	t.Chdir(module(t, weak))
	t.Setenv("GOWORK", "off")
	var out strings.Builder
	require.ErrorIs(t, run([]string{"."}, &out), errFloor)
	require.Contains(t, out.String(), "13 of 13 mutants unnoticed")
	require.Contains(t, out.String(), "subject.go:6:5 || swapped")
	require.Contains(t, out.String(), "subject.go:11:3 statement left out")
}

func TestATestThatFailsWithoutAMutant(t *testing.T) {
	t.Chdir(module(t, strings.Replace(strong, "61, true", "60, true", 1)))
	t.Setenv("GOWORK", "off")
	require.ErrorContains(t, run([]string{"."}, &strings.Builder{}), "without a mutant")
}
