// Package viewing is who has which chat open, over all gateways, in Redis.
//
// It owns the keys viewers:{c:<chat>}, {v:<gateway>}:* and view:* of proto. The
// truth is with the gateways, who have the sockets: what is here is what they
// told, and may be lost with Redis; then they tell it anew. A gateway that is
// silent for LeaseFor is dead, and its viewers are removed by whoever sweeps.
//
// A user is viewing from the first of the user's sockets to the last, whatever
// gateway they are on: First and Last of a change say so exactly once. A change
// may be repeated. Nobody who is not a member (the hash of members in the same
// slot says so, in the same script) begins to view.
package viewing
