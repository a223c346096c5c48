//go:build race

package mesh

// raceFlag makes the children carry the race detector when the tests do.
var raceFlag = []string{"-race"}
