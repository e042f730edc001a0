//go:build !amd64

package crc

// None of these is called: folds is false.

func fold(_ *polynomial, state uint32, _ *byte, _ int) uint32 { return state }

func words(state uint32, _ *byte, _ int) uint32 { return state }
