// Package state is what a call is and how it goes on: pure, without a clock and
// without a connection. A call goes from ringing to answered, rejected or missed,
// and from answered to ended; never back, and each end is final.
package state
