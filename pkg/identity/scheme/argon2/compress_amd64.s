#include "textflag.h"

// Bytes of each word turned by 24 and 16 bits.
DATA turn24<>+0(SB)/8, $0x0201000706050403
DATA turn24<>+8(SB)/8, $0x0a09080f0e0d0c0b
DATA turn24<>+16(SB)/8, $0x0201000706050403
DATA turn24<>+24(SB)/8, $0x0a09080f0e0d0c0b
GLOBL turn24<>(SB), (NOPTR+RODATA), $32

DATA turn16<>+0(SB)/8, $0x0100070605040302
DATA turn16<>+8(SB)/8, $0x09080f0e0d0c0b0a
DATA turn16<>+16(SB)/8, $0x0100070605040302
DATA turn16<>+24(SB)/8, $0x09080f0e0d0c0b0a
GLOBL turn16<>(SB), (NOPTR+RODATA), $32

// Two matrices of sixteen words at a time, a row in a register: A B C D are
// Y0 Y1 Y2 Y3 and Y4 Y5 Y6 Y7. Y8 and Y9 are scratch, Y14 and Y15 the turns.

// ADDMUL: p += q + 2*low(p)*low(q), in both matrices.
#define ADDMUL(p0, q0, p1, q1) \
	VPMULUDQ p0, q0, Y8; \
	VPMULUDQ p1, q1, Y9; \
	VPADDQ   q0, p0, p0; \
	VPADDQ   q1, p1, p1; \
	VPADDQ   Y8, Y8, Y8; \
	VPADDQ   Y9, Y9, Y9; \
	VPADDQ   Y8, p0, p0; \
	VPADDQ   Y9, p1, p1

// MIX is GB of RFC 9106 section 3.6 on four columns of both matrices.
#define MIX \
	ADDMUL(Y0, Y1, Y4, Y5); \
	VPXOR    Y0, Y3, Y3; \
	VPXOR    Y4, Y7, Y7; \
	VPSHUFD  $0xb1, Y3, Y3; \
	VPSHUFD  $0xb1, Y7, Y7; \
	ADDMUL(Y2, Y3, Y6, Y7); \
	VPXOR    Y2, Y1, Y1; \
	VPXOR    Y6, Y5, Y5; \
	VPSHUFB  Y14, Y1, Y1; \
	VPSHUFB  Y14, Y5, Y5; \
	ADDMUL(Y0, Y1, Y4, Y5); \
	VPXOR    Y0, Y3, Y3; \
	VPXOR    Y4, Y7, Y7; \
	VPSHUFB  Y15, Y3, Y3; \
	VPSHUFB  Y15, Y7, Y7; \
	ADDMUL(Y2, Y3, Y6, Y7); \
	VPXOR    Y2, Y1, Y1; \
	VPXOR    Y6, Y5, Y5; \
	VPADDQ   Y1, Y1, Y8; \
	VPADDQ   Y5, Y5, Y9; \
	VPSRLQ   $63, Y1, Y1; \
	VPSRLQ   $63, Y5, Y5; \
	VPOR     Y8, Y1, Y1; \
	VPOR     Y9, Y5, Y5

// PERMUTE is P: the columns, then the diagonals, which become columns by
// turning the rows A, C and D. B is what the last step of MIX waits for, so it
// stays.
#define PERMUTE \
	MIX; \
	VPERMQ $0x93, Y0, Y0; \
	VPERMQ $0x93, Y4, Y4; \
	VPERMQ $0x4e, Y3, Y3; \
	VPERMQ $0x4e, Y7, Y7; \
	VPERMQ $0x39, Y2, Y2; \
	VPERMQ $0x39, Y6, Y6; \
	MIX; \
	VPERMQ $0x39, Y0, Y0; \
	VPERMQ $0x39, Y4, Y4; \
	VPERMQ $0x4e, Y3, Y3; \
	VPERMQ $0x4e, Y7, Y7; \
	VPERMQ $0x93, Y2, Y2; \
	VPERMQ $0x93, Y6, Y6

// ROW loads 32 bytes of x XOR y.
#define ROW(off, r) \
	VMOVDQU off(SI), r; \
	VPXOR   off(DX), r, r

// PAIR loads two rows of a pair of block columns and sorts them by column.
#define PAIR(off, r0, r1) \
	VMOVDQU    off(R8), Y10; \
	VMOVDQU    off+128(R8), Y11; \
	VPERM2I128 $0x20, Y11, Y10, r0; \
	VPERM2I128 $0x31, Y11, Y10, r1

// OUT undoes PAIR, adds x XOR y and stores.
#define OUT(off, r0, r1) \
	VPERM2I128 $0x20, r1, r0, Y10; \
	VPERM2I128 $0x31, r1, r0, Y11; \
	VPXOR      off(SI), Y10, Y10; \
	VPXOR      off+128(SI), Y11, Y11; \
	VPXOR      off(DX), Y10, Y10; \
	VPXOR      off+128(DX), Y11, Y11; \
	VMOVDQU    Y10, off(DI); \
	VMOVDQU    Y11, off+128(DI)

// XOROUT is OUT on top of what is there.
#define XOROUT(off, r0, r1) \
	VPERM2I128 $0x20, r1, r0, Y10; \
	VPERM2I128 $0x31, r1, r0, Y11; \
	VPXOR      off(SI), Y10, Y10; \
	VPXOR      off+128(SI), Y11, Y11; \
	VPXOR      off(DX), Y10, Y10; \
	VPXOR      off+128(DX), Y11, Y11; \
	VPXOR      off(DI), Y10, Y10; \
	VPXOR      off+128(DI), Y11, Y11; \
	VMOVDQU    Y10, off(DI); \
	VMOVDQU    Y11, off+128(DI)

// func compressAVX2(b, x, y *block, xor bool)
TEXT ·compressAVX2(SB), 0, $1024-25
	MOVQ    b+0(FP), DI
	MOVQ    x+8(FP), SI
	MOVQ    y+16(FP), DX
	MOVBLZX xor+24(FP), AX
	VMOVDQU turn24<>(SB), Y14
	VMOVDQU turn16<>(SB), Y15

	// Two rows of the block at a time, into the frame.
	MOVQ SP, R8
	MOVQ $4, CX

rows:
	ROW(0, Y0)
	ROW(32, Y1)
	ROW(64, Y2)
	ROW(96, Y3)
	ROW(128, Y4)
	ROW(160, Y5)
	ROW(192, Y6)
	ROW(224, Y7)
	PERMUTE
	VMOVDQU Y0, 0(R8)
	VMOVDQU Y1, 32(R8)
	VMOVDQU Y2, 64(R8)
	VMOVDQU Y3, 96(R8)
	VMOVDQU Y4, 128(R8)
	VMOVDQU Y5, 160(R8)
	VMOVDQU Y6, 192(R8)
	VMOVDQU Y7, 224(R8)
	ADDQ    $256, SI
	ADDQ    $256, DX
	ADDQ    $256, R8
	DECQ    CX
	JNZ     rows
	SUBQ    $1024, SI
	SUBQ    $1024, DX

	// Two columns of the block at a time.
	MOVQ SP, R8
	MOVQ $4, CX

columns:
	PAIR(0, Y0, Y4)
	PAIR(256, Y1, Y5)
	PAIR(512, Y2, Y6)
	PAIR(768, Y3, Y7)
	PERMUTE
	TESTL AX, AX
	JNZ   add
	OUT(0, Y0, Y4)
	OUT(256, Y1, Y5)
	OUT(512, Y2, Y6)
	OUT(768, Y3, Y7)
	JMP   next

add:
	XOROUT(0, Y0, Y4)
	XOROUT(256, Y1, Y5)
	XOROUT(512, Y2, Y6)
	XOROUT(768, Y3, Y7)

next:
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	ADDQ $32, R8
	DECQ CX
	JNZ  columns

	// Nothing of a password stays in the frame.
	VPXOR Y0, Y0, Y0
	MOVQ  SP, R8
	MOVQ  $8, CX

wipe:
	VMOVDQU Y0, 0(R8)
	VMOVDQU Y0, 32(R8)
	VMOVDQU Y0, 64(R8)
	VMOVDQU Y0, 96(R8)
	ADDQ    $128, R8
	DECQ    CX
	JNZ     wipe
	VZEROUPPER
	RET
