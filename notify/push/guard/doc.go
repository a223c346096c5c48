// Package guard is the HTTP client for addresses that users give: it connects to
// public addresses alone, whatever a name resolves to at that moment, follows no
// redirect, uses no proxy, and reads no more of an answer than an answer needs. Its
// errors name no address: they may be logged.
package guard
