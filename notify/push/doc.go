// Package push is how a push reaches a device: the interface that every provider
// implements, what each answers, and what they have in common. A provider makes one
// try and says what came of it; when to try again, and when to give up, is
// package deliver's. What it is asked to send again has the same id every time.
package push
