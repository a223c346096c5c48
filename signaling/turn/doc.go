// Package turn makes what clients need for ICE: the list of STUN and TURN
// servers, with credentials of their own for one user of one call.
//
// Nothing is stored or asked: a credential is an HMAC of its user name, which
// says when it ends (draft-uberti-behave-turn-rest-00; coturn's
// use-auth-secret). A TURN server checks it only when an allocation is made or
// refreshed, so a call may outlive it by one lifetime of an allocation.
package turn
