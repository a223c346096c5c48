// Package calls keeps calls: in the log, where the record of a call goes on only
// where it is still what was read, and in Redis, from where it is read. It also has
// in Redis which call a user is in, and what waits for a side that is not there.
//
// Redis may lose all of it: the record and whose call it is are in the log, and what
// waits is asked for again by clients that restart their ICE.
package calls
