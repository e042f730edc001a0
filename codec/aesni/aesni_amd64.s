#include "textflag.h"

// AES-256 round keys, and what the CPU can do.

// func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL subleaf+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

// func xgetbv() uint32
TEXT ·xgetbv(SB), NOSPLIT, $0-4
	XORL CX, CX
	XGETBV
	MOVL AX, ret+0(FP)
	RET

// PREFIX makes each word of key the sum of itself and those before it, then adds X1 to all four.
#define PREFIX(key) \
	MOVO  key, X2; \
	PSLLO $4, X2;  \
	PXOR  X2, key; \
	MOVO  key, X2; \
	PSLLO $8, X2;  \
	PXOR  X2, key; \
	PXOR  X1, key

// EVEN makes the next key with an even number: X0 from X0 and the substituted, rotated last word of X3. The last round
// of the cipher, with the constant in X4 as its key, substitutes sooner than AESKEYGENASSIST: where all columns are
// equal it moves nothing.
#define EVEN(off) \
	MOVO       X3, X1; \
	PSHUFB     X5, X1; \
	AESENCLAST X4, X1; \
	PSLLL      $1, X4; \
	PREFIX(X0);        \
	MOVOU      X0, off(DI)

// ODD makes the next key with an odd number: X3 from X3 and the substituted last word of X0. X6 is zero.
#define ODD(off) \
	PSHUFD     $0xff, X0, X1; \
	AESENCLAST X6, X1;        \
	PREFIX(X3);               \
	MOVOU      X3, off(DI)

// The last word of a block, rotated, four times; and the first round constant, four times.
DATA rotated<>+0(SB)/8, $0x0c0f0e0d0c0f0e0d
DATA rotated<>+8(SB)/8, $0x0c0f0e0d0c0f0e0d
GLOBL rotated<>(SB), RODATA|NOPTR, $16
DATA rcon<>+0(SB)/8, $0x0000000100000001
DATA rcon<>+8(SB)/8, $0x0000000100000001
GLOBL rcon<>(SB), RODATA|NOPTR, $16

// func expand(keys *Schedule, key *[32]byte)
TEXT ·expand(SB), NOSPLIT, $0-16
	MOVQ  keys+0(FP), DI
	MOVQ  key+8(FP), SI
	MOVOU 0(SI), X0
	MOVOU 16(SI), X3
	MOVOU rcon<>(SB), X4
	MOVOU rotated<>(SB), X5
	PXOR  X6, X6
	MOVOU X0, 0(DI)
	MOVOU X3, 16(DI)
	EVEN(32)
	ODD(48)
	EVEN(64)
	ODD(80)
	EVEN(96)
	ODD(112)
	EVEN(128)
	ODD(144)
	EVEN(160)
	ODD(176)
	EVEN(192)
	ODD(208)
	EVEN(224)
	RET

// SWAP exchanges two keys and sends both through InvMixColumns.
#define SWAP(low, high) \
	MOVOU  low(DI), X0;  \
	MOVOU  high(DI), X1; \
	AESIMC X0, X0;       \
	AESIMC X1, X1;       \
	MOVOU  X0, high(DI); \
	MOVOU  X1, low(DI)

// func invert(keys *Schedule)
TEXT ·invert(SB), NOSPLIT, $0-8
	MOVQ  keys+0(FP), DI
	MOVOU 0(DI), X0
	MOVOU 224(DI), X1
	MOVOU X0, 224(DI)
	MOVOU X1, 0(DI)
	SWAP(16, 208)
	SWAP(32, 192)
	SWAP(48, 176)
	SWAP(64, 160)
	SWAP(80, 144)
	SWAP(96, 128)
	MOVOU  112(DI), X0
	AESIMC X0, X0
	MOVOU  X0, 112(DI)
	RET
