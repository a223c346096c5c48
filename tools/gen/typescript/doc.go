// Package typescript writes the declarations that applications import: payload
// interfaces, the maps a typed socket.io-client Socket takes, and the frames of
// the plain profile.
package typescript
