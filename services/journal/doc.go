// Package journal appends to one subject of the log under the condition of what
// stands last there, and reads it: the compare-and-set of services whose state is
// a subject. It knows nothing of what the entries mean.
package journal
