// Package asyncapi writes the AsyncAPI 3.0 document of what clients see: one
// channel a profile, one operation a row and profile, messages as the frames
// of that profile, with what the specification has no word for (limits,
// durability, codes) as x- fields.
package asyncapi
