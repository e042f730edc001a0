//go:build !amd64

package aesni

// best knows no assembly here.
func best() Path { return Ordinary }

func folds() bool { return false }

// The rest is never called: no other path is taken.

func expand(*Schedule, *[32]byte) {}

func invert(*Schedule) {}
