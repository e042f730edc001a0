#include "go_asm.h"
#include "textflag.h"

// CRC by folding; polynomial says what the constants mean.
//
// AX k, BX bytes left, SI where they begin, Y0 to Y3 the 128 bytes before them, with all that came earlier folded in.

// From n on, the shuffle that moves a block's first n bytes up to its end, with zeros before them; from 16 + n on, the
// one that moves the others down to its start.
DATA slide<>+0(SB)/8, $0x8080808080808080
DATA slide<>+8(SB)/8, $0x8080808080808080
DATA slide<>+16(SB)/8, $0x0706050403020100
DATA slide<>+24(SB)/8, $0x0f0e0d0c0b0a0908
DATA slide<>+32(SB)/8, $0x8080808080808080
DATA slide<>+40(SB)/8, $0x8080808080808080
GLOBL slide<>(SB), RODATA|NOPTR, $48

// MOVE moves a block, or a pair of blocks, forward as far as by says. tmp is lost.
#define MOVE(by, tmp, block) \
	VPCLMULQDQ $0x00, by, block, tmp;   \
	VPCLMULQDQ $0x11, by, block, block; \
	VPXOR      tmp, block, block

// FOLD moves a pair and adds it to the bytes at off.
#define FOLD(off, by, tmp, pair) MOVE(by, tmp, pair); VPXOR off(SI), pair, pair

// THREE sends a word of each of three parts of 128 bytes, at DX, through registers of their own.
#define THREE(off) \
	CRC32Q off(DX), R9;      \
	CRC32Q 128+off(DX), R10; \
	CRC32Q 256+off(DX), R11

// WEAVE folds 128 bytes by one unit of the CPU while THREE takes 96 by another.
#define WEAVE(off, by) \
	FOLD(0, by, Y4, Y0);  \
	THREE(off);           \
	FOLD(32, by, Y5, Y1); \
	THREE(off+8);         \
	FOLD(64, by, Y6, Y2); \
	THREE(off+16);        \
	FOLD(96, by, Y7, Y3); \
	THREE(off+24);        \
	ADDQ $128, SI

// func fold(k *polynomial, state uint32, p *byte, n int) uint32
//
// Zeros before a message do not change its checksum when the state is zero. So the state is added to the first 4 bytes,
// and the bytes that are no block stand first, behind zeros: all that follows is whole blocks.
TEXT ·fold(SB), NOSPLIT, $0-36
	MOVQ    k+0(FP), AX
	MOVL    state+8(FP), R8
	MOVQ    p+16(FP), SI
	MOVQ    n+24(FP), BX
	LEAQ    slide<>(SB), DI
	VMOVD   R8, X1
	MOVQ    BX, CX
	ANDQ    $15, CX
	VPXOR   (SI), X1, X0
	VPSHUFB (DI)(CX*1), X0, X0   // the first bytes
	VPSHUFB 16(DI)(CX*1), X1, X1 // of the state, what reaches beyond them
	ADDQ    CX, SI
	VMOVDQU polynomial_by16(AX), X8
	MOVE(X8, X4, X0)
	VPXOR   X1, X0, X0
	VPXOR   (SI), Y0, Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	VBROADCASTI128 polynomial_by128(AX), Y8
	ADDQ    $128, SI
	SUBQ    CX, BX
	SUBQ    $128, BX
	CMPQ    polynomial_p(AX), $0
	JNE     plain
	VBROADCASTI128 polynomial_by512(AX), Y9
	VMOVDQU polynomial_by256(AX), X10
	CMPQ    BX, $896
	JLT     plain

	// 512 bytes are folded; the 384 behind them, THREE's, are passed over by the last of the four steps. What THREE makes
	// of a part is a state, which belongs to the 4 bytes behind the part; all three are brought to those behind the last.
	PCALIGN $32

weave:
	LEAQ    384(SI), DX
	XORL    R9, R9
	XORL    R10, R10
	XORL    R11, R11
	WEAVE(0, Y8)
	WEAVE(32, Y8)
	WEAVE(64, Y8)
	ADDQ    $384, SI
	WEAVE(96, Y9)
	VMOVD   R9, X4
	VMOVD   R10, X5
	VMOVD   R11, X6
	VPCLMULQDQ $0x00, X10, X4, X4
	VPCLMULQDQ $0x00, X8, X5, X5
	VPXOR   X4, X6, X6
	VPXOR   X5, X6, X6
	VPXOR   Y6, Y0, Y0
	SUBQ    $896, BX
	CMPQ    BX, $896
	JGE     weave

plain:
	SUBQ    $128, BX
	JLT     join

	PCALIGN $32

next:
	FOLD(0, Y8, Y4, Y0)
	FOLD(32, Y8, Y5, Y1)
	FOLD(64, Y8, Y6, Y2)
	FOLD(96, Y8, Y7, Y3)
	ADDQ    $128, SI
	SUBQ    $128, BX
	JGE     next

	// Four pairs become one, Y0.
join:
	VBROADCASTI128 polynomial_by64(AX), Y8
	VBROADCASTI128 polynomial_by32(AX), Y9
	VMOVDQU polynomial_by16(AX), X10
	MOVE(Y8, Y4, Y0)
	MOVE(Y8, Y5, Y1)
	VPXOR   Y0, Y2, Y2
	VPXOR   Y1, Y3, Y0
	MOVE(Y9, Y6, Y2)
	VPXOR   Y2, Y0, Y0
	ADDQ    $96, BX              // 128 too few are now 32 too few
	JLT     halve

pair:
	FOLD(0, Y9, Y4, Y0)
	ADDQ    $32, SI
	SUBQ    $32, BX
	JGE     pair

halve:
	VEXTRACTI128 $1, Y0, X1
	MOVE(X10, X4, X0)
	VPXOR   X1, X0, X0
	ADDQ    $32, BX
	JEQ     end
	MOVE(X10, X4, X0)
	VPXOR   (SI), X0, X0

end:
	VZEROUPPER
	CMPQ    polynomial_p(AX), $0
	JNE     barrett
	VMOVQ   X0, R9
	VPEXTRQ $1, X0, R10
	XORL    R8, R8
	CRC32Q  R9, R8
	CRC32Q  R10, R8
	MOVL    R8, ret+32(FP)
	RET

barrett:
	VMOVDQU polynomial_end(AX), X8
	VPCLMULQDQ $0x00, X8, X0, X1 // the first word
	VPSRLDQ $8, X0, X0
	VPSLLDQ $4, X0, X0           // the other one, 32 bits on
	VPXOR   X1, X0, X0           // 96 bits are left
	VPCLMULQDQ $0x10, X8, X0, X1 // the first 32 of them
	VPXOR   X1, X0, X0
	VPSRLDQ $8, X0, X0           // 64 are left
	VMOVDQU polynomial_quotient(AX), X8
	VPXOR   X2, X2, X2
	VPBLENDD $1, X0, X2, X1      // the first 32 of them
	VPCLMULQDQ $0x00, X8, X1, X1
	VPBLENDD $1, X1, X2, X1      // how often P goes into the 64
	VPCLMULQDQ $0x10, X8, X1, X1
	VPXOR   X1, X0, X0
	VPEXTRD $1, X0, R8
	MOVL    R8, ret+32(FP)
	RET

// func words(state uint32, p *byte, n int) uint32
TEXT ·words(SB), NOSPLIT, $0-28
	MOVL state+0(FP), AX
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), BX
	SUBQ $8, BX
	JLT  half

word:
	CRC32Q (SI), AX
	ADDQ   $8, SI
	SUBQ   $8, BX
	JGE    word

half:
	TESTQ  $4, BX       // the low bits are those of n
	JEQ    quarter
	CRC32L (SI), AX
	ADDQ   $4, SI

quarter:
	TESTQ  $2, BX
	JEQ    byte
	CRC32W (SI), AX
	ADDQ   $2, SI

byte:
	TESTQ  $1, BX
	JEQ    done
	CRC32B (SI), AX

done:
	MOVL AX, ret+24(FP)
	RET
