// Package pipeline batches the small Redis operations of many concurrent
// requests into few round trips. Operations under one key run in the order they
// were submitted. Operations may run twice, so each must be idempotent. That a
// Redis which does not answer is left alone is the client's breaker's doing.
package pipeline
