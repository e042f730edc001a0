//go:build race

package split

const raceEnabled = true // which allocates by itself
