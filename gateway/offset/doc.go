// Package offset seals a place in the log into the opaque string that every
// durable event carries (CONTRACT §1, Recovery).
//
// An offset is one AES-128 block of position, a hash of the log's epoch and a
// hash of the user, so that it names a place in one log for one user only:
// another user's, a tampered one and one of a log that was made anew do not
// open. The key comes from the stream's epoch alone, so every gateway seals
// and opens the same way without a shared setting.
//
// A Stamp allocates nothing and costs about as much as the block cipher.
package offset
