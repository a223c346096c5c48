// Package webhook pushes to a URL of the app's own, signed as Standard Webhooks 1.0
// says: webhook-id is the same on every try, so that a receiver can tell a second
// copy; webhook-timestamp is the try's.
package webhook
