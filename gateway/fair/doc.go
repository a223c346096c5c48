// Package fair shares a token bucket among keys, so that one key cannot shut out the others.
//
// The bucket is a virtual queue for each key, served round robin at the bucket's rate (max-min
// fairness; the bound of each queue is the dynamic threshold of Choudhury and Hahne, 1998).
//
//   - A key that takes less than its fair part of the rate is never refused for what others take.
//   - A lone key gets the whole rate, and half of the burst.
//   - The table holds only keys with tokens that are not refilled yet. It never holds more keys than
//     the bucket has tokens, whatever the number of keys that are refused.
//
// Nothing here blocks, reads a clock or starts a goroutine. A crash loses at most one burst.
package fair
