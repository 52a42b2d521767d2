/* One source, two compilers: a device kernel for NVRTC, and the same text as C11 for the host, block by block.
 *
 * What a kernel may use:
 *   KERNEL(name, ...)         a kernel; BLOCK_X, BLOCK_Y: which block this is
 *   SHARED(T, name, n)        an array that a block's threads share
 *   PRIVATE(T, name, n)       n numbers of each thread's own; MINE(name): this thread's, as an array
 *   PHASE({...})              what every thread does between two barriers; t is the thread, 0 to THREADS - 1
 *   STRIDED(j, n, {...})      a phase: j runs over 0 to n - 1, thread j % THREADS does it
 *   fma_rd(a, b, c), add_rd(a, b)    round a b + c, a + b towards minus infinity: the only arithmetic on doubles
 * An upper bound is kept as its negative, so that nothing is ever rounded upwards, and no result of arithmetic is negated
 * (gcc 12 folds -fma(-a, b, -c) to fma(a, b, c) even under -frounding-math). Operands read from memory may be.
 * On the host the caller has set the rounding mode (stub.c); nothing here touches it.
 */
#pragma once

#define THREADS 256
#ifndef OVERRUN /* 1: a planted bug for the sanitizers, a row too many is written */
#define OVERRUN 0
#endif

#if defined(__CUDACC__)

typedef long long i64;
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(THREADS) name(__VA_ARGS__)
#define BLOCK_X ((i64)blockIdx.x)
#define BLOCK_Y ((i64)blockIdx.y)
#define SHARED(T, name, n) __shared__ T name[n]
#define PRIVATE(T, name, n) T name[n]
#define MINE(name) name
#define UNROLL _Pragma("unroll")
#define PHASE(...) { const int t = threadIdx.x; (void)t; __VA_ARGS__ } __syncthreads();
#define STRIDED(j, n, ...) \
    { const int t = threadIdx.x; (void)t; for (i64 j = threadIdx.x; j < (n); j += THREADS) { __VA_ARGS__ } } __syncthreads();
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
#define PRIVATE(T, name, n) T name[THREADS][n]
#define MINE(name) name[t]
#define UNROLL
#define PHASE(...) for (int t = 0; t < THREADS; t++) { __VA_ARGS__ }
#define STRIDED(j, n, ...) \
    for (i64 first = 0; first < (n); first += THREADS) { \
        const int some = (n) - first < THREADS ? (int)((n) - first) : THREADS; \
        for (int t = 0; t < some; t++) { const i64 j = first + t; __VA_ARGS__ } }
#define fma_rd(a, b, c) __builtin_fma(a, b, c)
#define add_rd(a, b) ((a) + (b))

#endif
