/* Coefficients through an affine map, charged for their rounding, on FP64 tensor cores. mma.m8n8k4 rounding down: a warp has 16 x 32 results, 2 x 4 fragments: of A[lane / 4][lane % 4],
 * B[lane % 4][lane / 4], C[lane / 4][2 (lane % 4) + 0, 1]. Assumes that every operation inside rounds down, in whatever order: ``check``
 * tests it on the device, and where that fails the other kernel is used. On the host: the fragment's FMAs in order. */
#define NAME tlc_adjoint_tensor
#define HAS_ROWS 2
#define HAS_COLUMNS 8
#define ROW(t, i) ((t) / 64 * 16 + (i) * 8 + (t) % 32 / 4)
#define COLUMN(t, j) ((t) / 32 % 2 * 32 + (j) / 2 * 8 + (t) % 4 * 2 + (j) % 2)
#define SLOTS 8
#define SLOT(t) ((t) / 32 % 2 * 4 + (t) % 4)
#define LOADED TILE
#if defined(__CUDACC__)
#ifdef PLANT
#define DOWN "rn"
#else
#define DOWN "rm"
#endif
#define MULTIPLY(acc, sign) \
    PHASE({ UNROLL for (int k = 0; k < STEPS; k += 4) { \
        const int from = k + t % 4; \
        UNROLL for (int i = 0; i < 2; i++) { \
            const double a = sign sx[from * PITCH + ROW(t, i)]; \
            UNROLL for (int j = 0; j < 8; j += 2) { \
                const double b = sw[from * TILE + t / 32 % 2 * 32 + j * 4 + t % 32 / 4]; \
                asm volatile("mma.sync.aligned.m8n8k4.row.col." DOWN ".f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};" \
                             : "+d"(acc[i * 8 + j]), "+d"(acc[i * 8 + j + 1]) : "d"(a), "d"(b)); \
            } \
        } \
    } })
#else
#define MULTIPLY(acc, sign) \
    PHASE({ \
        for (int k = 0; k < STEPS; k++) \
            for (int i = 0; i < 2; i++) \
                for (int j = 0; j < 8; j++) \
                    MINE(acc, i * 8 + j) = \
                        fma_rd(sign sx[k * PITCH + ROW(t, i)], sw[k * TILE + COLUMN(t, j)], MINE(acc, i * 8 + j)); \
    })
#endif
#include "adjoint_tile.h"
