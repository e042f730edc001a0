#include "textflag.h"

// AES-256-CBC. In all functions: AX round keys, BX where the IV stands, CX blocks left, DI dst, SI src.
// Legacy SSE takes no unaligned operand from memory, so keys go through a register; all loads of a step stand
// before its stores, so that dst may be src.

// KEYED does OP with the round key at off on 1, 2, 4 or 8 blocks. X8 is lost.
#define KEYED1(OP, off) MOVOU off(AX), X8; OP X8, X0
#define KEYED4(OP, off) KEYED1(OP, off); OP X8, X1; OP X8, X2; OP X8, X3
#define KEYED8(OP, off) KEYED4(OP, off); OP X8, X4; OP X8, X5; OP X8, X6; OP X8, X7

// DECRYPT sends the blocks of the KEYED macro through all 14 rounds.
#define DECRYPT(KEYED) \
	KEYED(PXOR, 0);     \
	KEYED(AESDEC, 16);  \
	KEYED(AESDEC, 32);  \
	KEYED(AESDEC, 48);  \
	KEYED(AESDEC, 64);  \
	KEYED(AESDEC, 80);  \
	KEYED(AESDEC, 96);  \
	KEYED(AESDEC, 112); \
	KEYED(AESDEC, 128); \
	KEYED(AESDEC, 144); \
	KEYED(AESDEC, 160); \
	KEYED(AESDEC, 176); \
	KEYED(AESDEC, 192); \
	KEYED(AESDEC, 208); \
	KEYED(AESDECLAST, 224)

// CHAIN adds the ciphertext of the block at off to the block behind it.
#define CHAIN(off, block, tmp) MOVOU off(SI), tmp; PXOR tmp, block

// func decryptNI(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)
TEXT ·decryptNI(SB), NOSPLIT, $0-40
	MOVQ  keys+0(FP), AX
	MOVQ  iv+8(FP), BX
	MOVQ  dst+16(FP), DI
	MOVQ  src+24(FP), SI
	MOVQ  blocks+32(FP), CX
	MOVOU (BX), X9          // the ciphertext before the next block
	SUBQ  $8, CX
	JLT   four

eight:
	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOU 64(SI), X4
	MOVOU 80(SI), X5
	MOVOU 96(SI), X6
	MOVOU 112(SI), X7
	DECRYPT(KEYED8)
	PXOR  X9, X0
	CHAIN(0, X1, X10)
	CHAIN(16, X2, X11)
	CHAIN(32, X3, X12)
	CHAIN(48, X4, X13)
	CHAIN(64, X5, X14)
	CHAIN(80, X6, X10)
	CHAIN(96, X7, X11)
	MOVOU 112(SI), X9
	MOVOU X0, 0(DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVOU X4, 64(DI)
	MOVOU X5, 80(DI)
	MOVOU X6, 96(DI)
	MOVOU X7, 112(DI)
	ADDQ  $128, SI
	ADDQ  $128, DI
	SUBQ  $8, CX
	JGE   eight

four:
	ADDQ  $4, CX            // 8 too few are now 4 too few
	JLT   one
	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	DECRYPT(KEYED4)
	PXOR  X9, X0
	CHAIN(0, X1, X10)
	CHAIN(16, X2, X11)
	CHAIN(32, X3, X12)
	MOVOU 48(SI), X9
	MOVOU X0, 0(DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	ADDQ  $64, SI
	ADDQ  $64, DI
	SUBQ  $4, CX

one:
	ADDQ  $3, CX            // 4 too few are now 1 too few
	JLT   done

next:
	MOVOU (SI), X0
	MOVOU X0, X10
	DECRYPT(KEYED1)
	PXOR  X9, X0
	MOVOU X10, X9
	MOVOU X0, (DI)
	ADDQ  $16, SI
	ADDQ  $16, DI
	SUBQ  $1, CX
	JGE   next

done:
	MOVOU X9, (BX)
	RET

// WIDE does OP with the round key at off on 1, 4 or 8 pairs of blocks. Y8 is lost.
#define WIDE1(OP, off) VBROADCASTI128 off(AX), Y8; OP Y8, Y0, Y0
#define WIDE2(OP, off) WIDE1(OP, off); OP Y8, Y1, Y1
#define WIDE4(OP, off) WIDE2(OP, off); OP Y8, Y2, Y2; OP Y8, Y3, Y3
#define WIDE8(OP, off) WIDE4(OP, off); OP Y8, Y4, Y4; OP Y8, Y5, Y5; OP Y8, Y6, Y6; OP Y8, Y7, Y7

// WIDEDECRYPT is DECRYPT for pairs behind the first key.
#define WIDEDECRYPT(WIDE) \
	WIDE(VAESDEC, 16);  \
	WIDE(VAESDEC, 32);  \
	WIDE(VAESDEC, 48);  \
	WIDE(VAESDEC, 64);  \
	WIDE(VAESDEC, 80);  \
	WIDE(VAESDEC, 96);  \
	WIDE(VAESDEC, 112); \
	WIDE(VAESDEC, 128); \
	WIDE(VAESDEC, 144); \
	WIDE(VAESDEC, 160); \
	WIDE(VAESDEC, 176); \
	WIDE(VAESDEC, 192); \
	WIDE(VAESDEC, 208); \
	WIDE(VAESDECLAST, 224)

// func decryptVAES(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)
TEXT ·decryptVAES(SB), NOSPLIT, $0-40
	MOVQ           keys+0(FP), AX
	MOVQ           iv+8(FP), BX
	MOVQ           dst+16(FP), DI
	MOVQ           src+24(FP), SI
	MOVQ           blocks+32(FP), CX
	VMOVDQU        (BX), X9          // the ciphertext before the next block
	VBROADCASTI128 0(AX), Y15
	SUBQ           $16, CX
	JLT            eight

sixteen:
	VPXOR       0(SI), Y15, Y0
	VPXOR       32(SI), Y15, Y1
	VPXOR       64(SI), Y15, Y2
	VPXOR       96(SI), Y15, Y3
	VPXOR       128(SI), Y15, Y4
	VPXOR       160(SI), Y15, Y5
	VPXOR       192(SI), Y15, Y6
	VPXOR       224(SI), Y15, Y7
	WIDEDECRYPT(WIDE8)
	VINSERTI128 $1, 0(SI), Y9, Y9
	VPXOR       Y9, Y0, Y0
	VPXOR       16(SI), Y1, Y1
	VPXOR       48(SI), Y2, Y2
	VPXOR       80(SI), Y3, Y3
	VPXOR       112(SI), Y4, Y4
	VPXOR       144(SI), Y5, Y5
	VPXOR       176(SI), Y6, Y6
	VPXOR       208(SI), Y7, Y7
	VMOVDQU     240(SI), X9
	VMOVDQU     Y0, 0(DI)
	VMOVDQU     Y1, 32(DI)
	VMOVDQU     Y2, 64(DI)
	VMOVDQU     Y3, 96(DI)
	VMOVDQU     Y4, 128(DI)
	VMOVDQU     Y5, 160(DI)
	VMOVDQU     Y6, 192(DI)
	VMOVDQU     Y7, 224(DI)
	ADDQ        $256, SI
	ADDQ        $256, DI
	SUBQ        $16, CX
	JGE         sixteen

eight:
	ADDQ        $8, CX               // 16 too few are now 8 too few
	JLT         four
	VPXOR       0(SI), Y15, Y0
	VPXOR       32(SI), Y15, Y1
	VPXOR       64(SI), Y15, Y2
	VPXOR       96(SI), Y15, Y3
	WIDEDECRYPT(WIDE4)
	VINSERTI128 $1, 0(SI), Y9, Y9
	VPXOR       Y9, Y0, Y0
	VPXOR       16(SI), Y1, Y1
	VPXOR       48(SI), Y2, Y2
	VPXOR       80(SI), Y3, Y3
	VMOVDQU     112(SI), X9
	VMOVDQU     Y0, 0(DI)
	VMOVDQU     Y1, 32(DI)
	VMOVDQU     Y2, 64(DI)
	VMOVDQU     Y3, 96(DI)
	ADDQ        $128, SI
	ADDQ        $128, DI
	SUBQ        $8, CX

four:
	ADDQ        $4, CX               // 8 too few are now 4 too few
	JLT         two
	VPXOR       0(SI), Y15, Y0
	VPXOR       32(SI), Y15, Y1
	WIDEDECRYPT(WIDE2)
	VINSERTI128 $1, 0(SI), Y9, Y9
	VPXOR       Y9, Y0, Y0
	VPXOR       16(SI), Y1, Y1
	VMOVDQU     48(SI), X9
	VMOVDQU     Y0, 0(DI)
	VMOVDQU     Y1, 32(DI)
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $4, CX

two:
	ADDQ        $2, CX               // 4 too few are now 2 too few
	JLT         one
	VPXOR       0(SI), Y15, Y0
	WIDEDECRYPT(WIDE1)
	VINSERTI128 $1, 0(SI), Y9, Y9
	VPXOR       Y9, Y0, Y0
	VMOVDQU     16(SI), X9
	VMOVDQU     Y0, 0(DI)
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $2, CX

one:
	ADDQ        $1, CX               // 2 too few are now 1 too few
	JLT         done
	VMOVDQU     (SI), X10
	VPXOR       X10, X15, X0
	WIDEDECRYPT(WIDE1)
	VPXOR       X9, X0, X0
	VMOVDQA     X10, X9
	VMOVDQU     X0, (DI)

done:
	VMOVDQU X9, (BX)
	VZEROUPPER
	RET

// func encryptNI(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)
//
// One block waits for the one before, so nothing but the 14 rounds may lie between two: the last round key brings the
// next block and its first key along. X0 is then the next block behind its first key, and the ciphertext, which
// nobody waits for, is X0 without them.
TEXT ·encryptNI(SB), NOSPLIT, $0-40
	MOVQ       keys+0(FP), AX
	MOVQ       iv+8(FP), BX
	MOVQ       dst+16(FP), DI
	MOVQ       src+24(FP), SI
	MOVQ       blocks+32(FP), CX
	MOVOU      0(AX), X15            // the first key
	MOVOU      16(AX), X3
	MOVOU      32(AX), X4
	MOVOU      48(AX), X5
	MOVOU      64(AX), X6
	MOVOU      80(AX), X7
	MOVOU      96(AX), X8
	MOVOU      112(AX), X9
	MOVOU      128(AX), X10
	MOVOU      144(AX), X11
	MOVOU      160(AX), X12
	MOVOU      176(AX), X13
	MOVOU      224(AX), X14          // the last key
	MOVOU      (BX), X0
	MOVOU      (SI), X1
	PXOR       X1, X0
	PXOR       X15, X0

next:
	AESENC     X3, X0
	AESENC     X4, X0
	AESENC     X5, X0
	AESENC     X6, X0
	AESENC     X7, X0
	AESENC     X8, X0
	AESENC     X9, X0
	AESENC     X10, X0
	AESENC     X11, X0
	AESENC     X12, X0
	AESENC     X13, X0
	MOVOU      192(AX), X1
	MOVOU      208(AX), X2
	AESENC     X1, X0
	AESENC     X2, X0
	SUBQ       $1, CX
	JEQ        last
	MOVOU      16(SI), X1
	PXOR       X15, X1
	MOVO       X1, X2
	PXOR       X14, X2
	AESENCLAST X2, X0
	PXOR       X0, X1
	MOVOU      X1, (DI)
	ADDQ       $16, SI
	ADDQ       $16, DI
	JMP        next

last:
	AESENCLAST X14, X0
	MOVOU      X0, (DI)
	MOVOU      X0, (BX)
	RET
