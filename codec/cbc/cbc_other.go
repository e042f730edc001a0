//go:build !amd64

package cbc

// None of these is called: no path leads here.

func decryptNI(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func decryptVAES(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func encryptNI(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func encryptLanes(*[width]lane, int) {}
