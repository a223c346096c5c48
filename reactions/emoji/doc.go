// Package emoji says what is exactly one emoji: by Unicode's RGI set, the table
// rgi.txt, which gen/ makes (`make gen-emoji`) from a pinned npm package.
package emoji
