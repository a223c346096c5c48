// Package console serves the page on which a developer tries the mesh out:
// log in as any user, open chats, send, edit and delete, see what is unread, who
// has read what, who is typing and who is here, be notified and pushed to.
//
// It owns the page's files, which are embedded and need no build and no
// network, the headers that keep foreign code out of it, and the endpoint that
// makes tokens for it. That endpoint gives anyone a token for any user: it may
// only be served on loopback, and answers nobody who came by another name than
// localhost's, so that a foreign page cannot reach it by rebinding its own name.
package console
