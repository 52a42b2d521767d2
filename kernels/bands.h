/* What the threads of band y (BAND) add to their 4 x 4 results acc[4 i + j] of rows 4 y + i, columns 16 j + x, over a step's k:
 *   OUTER(acc, y, sign, xs, ws)               sign xs[k, row] ws[k, column]
 *   OUTER_SIGNED(acc, y, sign, ps, ns, ws)    sign times ps[k, row] where ws[k, column] >= 0, else ns[k, row], times ws[k, column]
 * each a fused multiply-add that rounds down.
 */
#if defined(__CUDACC__)

#define OUTER(acc, y, sign, xs, ws) \
    for (int k = 0; k < STEPS; k++) { \
        double a[4], b[4]; \
        UNROLL for (int i = 0; i < 4; i++) { a[i] = sign xs[k * PITCH + y * 4 + i]; b[i] = ws[k * TILE + i * 16 + threadIdx.x % 16]; } \
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) acc[i * 4 + j] = fma_rd(a[i], b[j], acc[i * 4 + j]); \
    }
#define OUTER_SIGNED(acc, y, sign, ps, ns, ws) \
    for (int k = 0; k < STEPS; k++) { \
        double p[4], n[4], b[4]; \
        UNROLL for (int i = 0; i < 4; i++) { \
            p[i] = sign ps[k * PITCH + y * 4 + i]; \
            n[i] = sign ns[k * PITCH + y * 4 + i]; \
            b[i] = ws[k * TILE + i * 16 + threadIdx.x % 16]; \
        } \
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) \
            acc[i * 4 + j] = fma_rd(b[j], b[j] >= 0.0 ? p[i] : n[i], acc[i * 4 + j]); \
    }

#else

/* gcc makes no vectors of __builtin_fma under -frounding-math. An instruction in asm it can neither fold nor take apart. */
#if defined(__AVX512F__)
#define PACK 8
#elif defined(__AVX2__) && defined(__FMA__)
#define PACK 4
#else
#define PACK 1
#endif
typedef double Pack __attribute__((vector_size(PACK * sizeof(double)), aligned(sizeof(double)), may_alias));
typedef i64 Bits __attribute__((vector_size(PACK * sizeof(double)), aligned(sizeof(double)), may_alias));
#define PACK_AT(x) (*(Pack *)(x))
#define RESULTS(i, p) PACK_AT(&acc[(i) * 4 + (c + (p) * PACK) / 16][y * 16 + (c + (p) * PACK) % 16])

static inline Pack fma_pack(Pack a, Pack b, Pack c) {
#if PACK > 1
    __asm__("vfmadd231pd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
#else
    return (Pack){fma_rd(a[0], b[0], c[0])};
#endif
}

static inline Pack splat(double a) {
    Pack result;
    for (int k = 0; k < PACK; k++) result[k] = a;
    return result;
}

static inline void outer(double (*acc)[THREADS], int y, int negative, const double *xs, double *ws) {
    for (int i = 0; i < 4; i += 2)
        for (int c = 0; c < TILE; c += 4 * PACK) {
            Pack s0[4], s1[4];
            for (int p = 0; p < 4; p++) { s0[p] = RESULTS(i, p); s1[p] = RESULTS(i + 1, p); }
            for (int k = 0; k < STEPS; k++) {
                const double *x = xs + k * PITCH + y * 4 + i;
                const Pack a0 = splat(negative ? -x[0] : x[0]), a1 = splat(negative ? -x[1] : x[1]);
                for (int p = 0; p < 4; p++) {
                    const Pack w = PACK_AT(ws + k * TILE + c + p * PACK);
                    s0[p] = fma_pack(a0, w, s0[p]);
                    s1[p] = fma_pack(a1, w, s1[p]);
                }
            }
            for (int p = 0; p < 4; p++) { RESULTS(i, p) = s0[p]; RESULTS(i + 1, p) = s1[p]; }
        }
}

static inline void outer_signed(double (*acc)[THREADS], int y, int negative, const double *ps, const double *ns, double *ws) {
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < TILE; c += 4 * PACK) {
            Pack s[4];
            for (int p = 0; p < 4; p++) s[p] = RESULTS(i, p);
            for (int k = 0; k < STEPS; k++) {
                const double high = ps[k * PITCH + y * 4 + i], low = ns[k * PITCH + y * 4 + i];
                const Bits up = (Bits)splat(negative ? -high : high), down = (Bits)splat(negative ? -low : low);
                for (int p = 0; p < 4; p++) {
                    const Pack w = PACK_AT(ws + k * TILE + c + p * PACK);
                    const Bits positive = (Bits)(w >= splat(0.0));
                    s[p] = fma_pack(w, (Pack)((positive & up) | (~positive & down)), s[p]);
                }
            }
            for (int p = 0; p < 4; p++) RESULTS(i, p) = s[p];
        }
}

#define OUTER(acc, y, sign, xs, ws) outer(acc, y, (sign 1) < 0, xs, ws);
#define OUTER_SIGNED(acc, y, sign, ps, ns, ws) outer_signed(acc, y, (sign 1) < 0, ps, ns, ws);

#endif
