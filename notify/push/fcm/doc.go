// Package fcm pushes by Firebase Cloud Messaging, HTTP v1, as a service account. A
// call and a withdrawal are data alone, so that the app is woken and decides itself.
package fcm
