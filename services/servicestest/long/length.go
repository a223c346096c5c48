package long

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// Names matches the tests that `make test-long` runs.
const Names = "^Test(Soak|Storm|Model|Trial)"

// Variable holds the share of the full length in percent, 1 to 100. Unset or
// empty is the short form.
const Variable = "TEST_LONG"

var names = regexp.MustCompile(Names)

// Count returns how many rounds, users or messages a test takes: short in
// `make test`, otherwise the share of full, but never less than short.
func Count(t testing.TB, short, full int) int {
	t.Helper()
	return max(short, full*share(t)/100)
}

// Only skips a test that has no short form unless `make test-long` runs it.
func Only(t testing.TB) {
	t.Helper()
	if share(t) == 0 {
		t.Skip("runs in make test-long only")
	}
}

// share returns the percentage in Variable, and fails a test that
// `make test-long` would not select.
func share(t testing.TB) int {
	t.Helper()
	if !names.MatchString(t.Name()) {
		t.Fatalf("%s is a long test: its name must match %s", t.Name(), Names)
	}
	text := os.Getenv(Variable)
	if text == "" {
		return 0
	}
	percent, err := strconv.Atoi(text)
	if err != nil || percent < 1 || percent > 100 {
		t.Fatalf("%s=%q: want a percentage from 1 to 100", Variable, text)
	}
	return percent
}
