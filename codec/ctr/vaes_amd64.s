#include "textflag.h"

// What ctr_amd64.s says holds here, with two blocks in a register.

// How far the blocks of the first pair are ahead, and those of the next one.
DATA first<>+0(SB)/8, $0
DATA first<>+8(SB)/8, $0
DATA first<>+16(SB)/8, $1
DATA first<>+24(SB)/8, $0
GLOBL first<>(SB), RODATA|NOPTR, $32
DATA two<>+0(SB)/8, $2
DATA two<>+8(SB)/8, $0
DATA two<>+16(SB)/8, $2
DATA two<>+24(SB)/8, $0
GLOBL two<>(SB), RODATA|NOPTR, $32

// WIDECOUNT is COUNT for a pair.
#define WIDECOUNT(pair) \
	VPSHUFB Y14, Y15, pair;  \
	VPADDQ  Y13, Y15, Y15;   \
	VPXOR   Y12, pair, pair

// WIDE does OP with the round key at off on 4 to 8 pairs.
#define WIDE4(OP, off) \
	VBROADCASTI128 off(AX), Y8;                                  \
	OP Y8, Y0, Y0; OP Y8, Y1, Y1; OP Y8, Y2, Y2; OP Y8, Y3, Y3
#define WIDE5(OP, off) WIDE4(OP, off); OP Y8, Y4, Y4
#define WIDE6(OP, off) WIDE5(OP, off); OP Y8, Y5, Y5
#define WIDE7(OP, off) WIDE6(OP, off); OP Y8, Y6, Y6
#define WIDE8(OP, off) WIDE7(OP, off); OP Y8, Y7, Y7

// WIDEENCRYPT is ENCRYPT for pairs.
#define WIDEENCRYPT(WIDE) \
	WIDE(VAESENC, 16);  \
	WIDE(VAESENC, 32);  \
	WIDE(VAESENC, 48);  \
	WIDE(VAESENC, 64);  \
	WIDE(VAESENC, 80);  \
	WIDE(VAESENC, 96);  \
	WIDE(VAESENC, 112); \
	WIDE(VAESENC, 128); \
	WIDE(VAESENC, 144); \
	WIDE(VAESENC, 160); \
	WIDE(VAESENC, 176); \
	WIDE(VAESENC, 192); \
	WIDE(VAESENC, 208); \
	WIDE(VAESENCLAST, 224)

// WIDEADD, WIDERUNG and WIDEREST are what their namesakes are for a pair.
#define WIDEADD(off, pair) VPXOR off(SI), pair, pair; VMOVDQU pair, off(DI)
#define WIDERUNG(off, pair, rest) CMPQ BX, $(off+32); JLT rest; WIDEADD(off, pair)
#define WIDEREST(off, pair) ADDQ $off, SI; ADDQ $off, DI; SUBQ $off, BX; VMOVDQA pair, Y0; JMP tail

// widepart is part in the encoding that does not have to save the upper half of a register.
TEXT widepart<>(SB), NOSPLIT, $0-0
	LEAQ    ·down(SB), R8
	CMPQ    R9, $8
	JLT     four
	VMOVQ   (R12), X9
	VMOVQ   -8(R12)(R9*1), X10
	VPXOR   X0, X9, X9
	VPSHUFB -8(R8)(R9*1), X0, X0
	VPXOR   X0, X10, X10
	VMOVQ   X9, (R13)
	VMOVQ   X10, -8(R13)(R9*1)
	RET

four:
	CMPQ    R9, $4
	JLT     few
	VMOVD   (R12), X9
	VMOVD   -4(R12)(R9*1), X10
	VPXOR   X0, X9, X9
	VPSHUFB -4(R8)(R9*1), X0, X0
	VPXOR   X0, X10, X10
	VMOVD   X9, (R13)
	VMOVD   X10, -4(R13)(R9*1)
	RET

few:
	VMOVD   X0, R10

next:
	MOVBLZX (R12), R8
	XORL    R10, R8
	MOVB    R8, (R13)
	SHRL    $8, R10
	INCQ    R12
	INCQ    R13
	DECQ    R9
	JNE     next
	RET

// func xorVAES(keys *aesni.Schedule, lo, hi uint64, skip int, dst, src *byte, n int)
//
// The grid is one of pairs. When the message starts inside a block, that is the second of the first pair, so that all
// behind it is whole pairs.
TEXT ·xorVAES(SB), NOSPLIT, $0-56
	MOVQ           keys+0(FP), AX
	MOVQ           lo+8(FP), R8
	MOVQ           skip+24(FP), DX
	MOVQ           dst+32(FP), DI
	MOVQ           src+40(FP), SI
	MOVQ           n+48(FP), BX
	TESTQ          DX, DX
	JEQ            even
	DECQ           R8
	ADDQ           $16, DX
	ADDQ           DX, BX
	SUBQ           DX, SI
	SUBQ           DX, DI

even:
	VMOVQ          R8, X15
	VMOVHPS        hi+16(FP), X15, X15
	VINSERTI128    $1, X15, Y15, Y15
	VPADDQ         first<>(SB), Y15, Y15      // the next two counters
	VMOVDQU        ·reverse(SB), Y14
	VMOVDQU        two<>(SB), Y13
	VBROADCASTI128 (AX), Y12

group:
	WIDECOUNT(Y0)
	WIDECOUNT(Y1)
	WIDECOUNT(Y2)
	WIDECOUNT(Y3)
	CMPQ BX, $128
	JLE  four
	WIDECOUNT(Y4)
	CMPQ BX, $160
	JLE  five
	WIDECOUNT(Y5)
	CMPQ BX, $192
	JLE  six
	WIDECOUNT(Y6)
	CMPQ BX, $224
	JLE  seven
	WIDECOUNT(Y7)
	WIDEENCRYPT(WIDE8)

ready:
	TESTQ DX, DX
	JNE   head
	CMPQ  BX, $256
	JLT   ladder
	WIDEADD(0, Y0)
	WIDEADD(32, Y1)
	WIDEADD(64, Y2)
	WIDEADD(96, Y3)
	WIDEADD(128, Y4)
	WIDEADD(160, Y5)
	WIDEADD(192, Y6)
	WIDEADD(224, Y7)

next:
	ADDQ $256, SI
	ADDQ $256, DI
	SUBQ $256, BX
	JNE  group
	VZEROUPPER
	RET

seven:
	WIDEENCRYPT(WIDE7)
	JMP ready

six:
	WIDEENCRYPT(WIDE6)
	JMP ready

five:
	WIDEENCRYPT(WIDE5)
	JMP ready

four:
	WIDEENCRYPT(WIDE4)
	JMP ready

	// The second block, without the DX bytes before the message.
head:
	LEAQ         (SI)(DX*1), R12
	LEAQ         (DI)(DX*1), R13
	MOVL         $32, R9
	CMPQ         BX, R9
	CMOVQLT      BX, R9
	SUBQ         DX, R9
	VEXTRACTI128 $1, Y0, X0
	LEAQ         ·down(SB), R10
	VPSHUFB      -16(R10)(DX*1), X0, X0
	CALL         widepart<>(SB)
	XORL         DX, DX
	CMPQ         BX, $32
	JLE          done
	JMP          behind

ladder:
	WIDERUNG(0, Y0, tail)
behind:
	WIDERUNG(32, Y1, rest1)
	WIDERUNG(64, Y2, rest2)
	WIDERUNG(96, Y3, rest3)
	WIDERUNG(128, Y4, rest4)
	WIDERUNG(160, Y5, rest5)
	WIDERUNG(192, Y6, rest6)
	WIDERUNG(224, Y7, rest7)
	JMP next

rest1:
	WIDEREST(32, Y1)
rest2:
	WIDEREST(64, Y2)
rest3:
	WIDEREST(96, Y3)
rest4:
	WIDEREST(128, Y4)
rest5:
	WIDEREST(160, Y5)
rest6:
	WIDEREST(192, Y6)
rest7:
	WIDEREST(224, Y7)

	// The last BX bytes, fewer than 32, with the pair Y0.
tail:
	CMPQ         BX, $16
	JLT          last
	VPXOR        (SI), X0, X8
	VMOVDQU      X8, (DI)
	VEXTRACTI128 $1, Y0, X0
	ADDQ         $16, SI
	ADDQ         $16, DI
	SUBQ         $16, BX

last:
	TESTQ   BX, BX
	JEQ     done
	MOVQ    BX, R9
	MOVQ    SI, R12
	MOVQ    DI, R13
	CALL    widepart<>(SB)

done:
	VZEROUPPER
	RET
