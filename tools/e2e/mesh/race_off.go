//go:build !race

package mesh

var raceFlag []string
