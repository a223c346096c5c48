// Package notify is the notify service: notifications of users, and the pushes
// that bring them to devices which are not connected.
package notify
