// Package wait waits for conditions in tests. It imports only the standard library, so that
// tests of programs can use it without the servers of servicestest.
package wait
