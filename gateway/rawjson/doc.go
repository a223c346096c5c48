// Package rawjson splits JSON without decoding it: the gateway passes payloads on as bytes
// and only needs to know where a value ends. Both wire profiles stand on it, so that they
// have one idea of what is valid.
//
// It accepts what JSON.parse accepts (RFC 8259), in text that is known to be valid UTF-8:
// names that stand twice, halves of surrogate pairs in escapes and any depth included. Who
// decodes a value judges those (services/wire). It never recurses, and allocates nothing
// for values of up to 256 levels.
package rawjson
