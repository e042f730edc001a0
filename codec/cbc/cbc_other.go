//go:build !amd64

package cbc

// detect knows no assembly here.
func detect() path { return ordinary }

// The rest is never called: no other path is taken.

func expandKey(*schedule, *[32]byte) {}

func invertKeys(*schedule) {}

func decryptNI(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func decryptVAES(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func encryptNI(*schedule, *[BlockSize]byte, *byte, *byte, int) {}

func encryptLanes(*[width]lane, int) {}
