// Package apns pushes by Apple's service with a provider token (.p8 key). A call goes
// to a PushKit token as a VoIP push; a withdrawal is a background push. The id and
// the collapse id are the same on every try.
package apns
