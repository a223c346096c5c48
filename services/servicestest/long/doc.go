// Package long sets the length of a long test. A soak, a storm, a model or a
// trial runs its short form in `make test` and its full length in
// `make test-long`. The name of such a test begins with one of Names, because
// `make test-long` selects the tests by name.
//
// The package imports only the standard library, so that the tests of a pure
// package can use it.
package long
