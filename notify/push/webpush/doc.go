// Package webpush pushes to browsers: RFC 8030 with VAPID (RFC 8292) and encrypted
// content (RFC 8291), which webpush-go does. Topic makes one push replace another
// that the browser has not fetched.
package webpush
