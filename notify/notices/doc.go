// Package notices keeps users' notifications: in the log as they came and as they
// were read and cleared, in Redis as of an entry of it. What was acked is never
// lost with Redis; any number of instances may write.
package notices
