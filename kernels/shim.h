/* One source, two compilers: a device kernel for NVRTC, and the same text as C11 for the host, block by block.
 *
 * What a kernel may use:
 *   KERNEL(name, ...)         a kernel; BLOCK_X, BLOCK_Y: which block this is
 *   SHARED(T, name, n)        an array that a block's threads share
 *   PRIVATE(name, n)          n doubles of each thread's own; MINE(name, k): the k-th of thread t's
 *   PHASE({...})              what every thread does between two barriers; t is the thread, 0 to THREADS - 1
 *   STRIDED(j, n, {...})      a phase: j runs over 0 to n - 1, thread j % THREADS does it
 *   GRID(a, A, b, B, {...})   a phase: all a < A and b < B, neighbouring threads taking neighbouring b
 *   BAND(y, {...})            a phase in which the 16 threads with t / 16 = y work together; ACROSS(x, {...}) within: thread 16 y + x
 * and of a kernel over rows, ROWS to a block with LANES threads each:
 *   EACH(r, rows, j, n, own, {...})   a phase: row r of ``rows``, j runs over 0 to n - 1, lane j % LANES does it; t is the thread, and
 *                             ``own`` declares what belongs to the row
 *   LANE(half, {...})         a phase of every row's first ``half`` lanes
 *   LEAD(r, rows, {...})      a phase of every row's first lane
 *   fma_rd(a, b, c), add_rd(a, b)    round a b + c, a + b towards minus infinity: the only arithmetic on doubles
 * An upper bound is kept as its negative, so that nothing is ever rounded upwards, and no result of arithmetic is negated
 * (gcc 12 folds -fma(-a, b, -c) to fma(a, b, c) even under -frounding-math). Operands read from memory may be.
 * On the host the caller has set the rounding mode (stub.c); nothing here touches it.
 */
#pragma once

#define THREADS 256
#define LANES 32
#define ROWS (THREADS / LANES)
#ifndef OVERRUN /* 1: a planted bug for the sanitizers, a row too many is written */
#define OVERRUN 0
#endif

#if defined(__CUDACC__)

typedef long long i64;
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(THREADS) name(__VA_ARGS__)
#define BLOCK_X ((i64)blockIdx.x)
#define BLOCK_Y ((i64)blockIdx.y)
#define SHARED(T, name, n) __shared__ T name[n]
#define PRIVATE(name, n) double name[n]
#define MINE(name, k) name[k]
#define UNROLL _Pragma("unroll")
#define PHASE(...) { const int t = threadIdx.x; (void)t; __VA_ARGS__ } __syncthreads();
#define STRIDED(j, n, ...) \
    { const int t = threadIdx.x; (void)t; for (i64 j = threadIdx.x; j < (n); j += THREADS) { __VA_ARGS__ } } __syncthreads();
#define GRID(a, A, b, B, ...) \
    for (int e = threadIdx.x; e < (A) * (B); e += THREADS) { const int a = e / (B), b = e % (B); __VA_ARGS__ } \
    __syncthreads();
#define BAND(y, ...) { const int y = threadIdx.x / 16; __VA_ARGS__ } __syncthreads();
#define ACROSS(x, ...) { const int t = threadIdx.x, x = t % 16; __VA_ARGS__ }
#define EACH(r, rows, j, n, own, ...) \
    { \
        const int t = threadIdx.x; \
        const i64 r = BLOCK_X * ROWS + t / LANES; \
        if (r < (rows)) { own; for (i64 j = t % LANES; j < (n); j += LANES) { __VA_ARGS__ } } \
    } \
    __syncthreads();
#define LANE(half, ...) { const int t = threadIdx.x; if (t % LANES < (half)) { __VA_ARGS__ } } __syncthreads();
#define LEAD(r, rows, ...) \
    { \
        const int t = threadIdx.x; \
        const i64 r = BLOCK_X * ROWS + t / LANES; \
        if (t % LANES == 0 && r < (rows)) { __VA_ARGS__ } \
    } \
    __syncthreads();
#ifdef PLANT /* a negative control: rounds to nearest */
#define fma_rd(a, b, c) __fma_rn(a, b, c)
#define add_rd(a, b) __dadd_rn(a, b)
#else
#define fma_rd(a, b, c) __fma_rd(a, b, c)
#define add_rd(a, b) __dadd_rd(a, b)
#endif

#else

#include <fenv.h>
#include <math.h>
#include <stddef.h>
typedef long long i64;
typedef struct { i64 x, y; } Block;
#define KERNEL(name, ...) static void name(const Block block, __VA_ARGS__)
#define BLOCK_X block.x
#define BLOCK_Y block.y
#define SHARED(T, name, n) T name[n]
#define PRIVATE(name, n) double name[n][THREADS]
#define MINE(name, k) name[k][t]
#define UNROLL
#define PHASE(...) for (int t = 0; t < THREADS; t++) { __VA_ARGS__ }
#define STRIDED(j, n, ...) \
    for (i64 first = 0; first < (n); first += THREADS) { \
        const int some = (n) - first < THREADS ? (int)((n) - first) : THREADS; \
        for (int t = 0; t < some; t++) { const i64 j = first + t; __VA_ARGS__ } }
#define GRID(a, A, b, B, ...) \
    for (int a = 0; a < (A); a++) for (int b = 0; b < (B); b++) { __VA_ARGS__ }
#define BAND(y, ...) for (int y = 0; y < 16; y++) { __VA_ARGS__ }
#define ACROSS(x, ...) for (int x = 0; x < 16; x++) { const int t = y * 16 + x; __VA_ARGS__ }
#define EACH(r, rows, j, n, own, ...) \
    for (i64 r = BLOCK_X * ROWS; r < (rows) && r < (BLOCK_X + 1) * ROWS; r++) { \
        own; \
        for (i64 first = 0; first < (n); first += LANES) { \
            const int some = (n) - first < LANES ? (int)((n) - first) : LANES; \
            for (int lane = 0; lane < some; lane++) { \
                const int t = (int)(r % ROWS) * LANES + lane; \
                const i64 j = first + lane; \
                __VA_ARGS__ \
            } \
        } \
    }
#define LANE(half, ...) \
    for (int line = 0; line < ROWS; line++) \
        for (int lane = 0; lane < (half); lane++) { const int t = line * LANES + lane; __VA_ARGS__ }
#define LEAD(r, rows, ...) \
    for (i64 r = BLOCK_X * ROWS; r < (rows) && r < (BLOCK_X + 1) * ROWS; r++) { \
        const int t = (int)(r % ROWS) * LANES; \
        __VA_ARGS__ \
    }
#define fma_rd(a, b, c) __builtin_fma(a, b, c)
#define add_rd(a, b) ((a) + (b))


#endif
