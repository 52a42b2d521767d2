/* The kernels on the host: every block in turn, in one thread, rounding downwards. C11; build.py says with which options.
 *
 * Each entry checks the sizes of its arrays first (0: done; else what ``sizes`` found, or 4: the rounding mode is not to be had).
 * The floating-point environment is the caller's again afterwards; meanwhile it is the default one (gradual underflow, whatever an
 * object built with -ffast-math has set) with rounding towards minus infinity. Kernels are called through pointers that are read after
 * the mode was set, so that no arithmetic moves across.
 */
#include "kernels.h"

#define EXPORT __attribute__((visibility("default"))) int
#define MOST ((i64)1 << 40)
#ifndef MODE /* another one: a negative control */
#define MODE FE_DOWNWARD
#endif

/* 0 if an array of doubles of these extents has at most MOST bytes; 1: negative, 2: overflow, 3: too many. */
EXPORT tlc_sizes(const i64 *extents, int count) {
    i64 bytes = sizeof(double);
    for (int k = 0; k < count; k++) {
        if (extents[k] < 0) return 1;
#ifdef UNCHECKED /* a planted bug for the sanitizers */
        bytes *= extents[k];
#else
        if (__builtin_mul_overflow(bytes, extents[k], &bytes)) return 2;
#endif
    }
    return bytes > MOST ? 3 : 0;
}
#define CHECK(...) \
    do { \
        const i64 extents[] = {__VA_ARGS__}; \
        const int found = tlc_sizes(extents, sizeof extents / sizeof *extents); \
        if (found) return found; \
    } while (0)

static int round_down(fenv_t *caller) {
    return fegetenv(caller) || fesetenv(FE_DFL_ENV) || fesetround(MODE) ? 4 : 0;
}

#define LAUNCH(blocks_x, blocks_y, kernel, ...) \
    do { \
        __typeof__(&kernel) volatile run = &kernel; \
        fenv_t caller; \
        if (round_down(&caller)) return 4; \
        for (i64 y = 0; y < (blocks_y); y++) \
            for (i64 x = 0; x < (blocks_x); x++) run((Block){x, y}, __VA_ARGS__); \
        return fesetenv(&caller) ? 4 : 0; \
    } while (0)
#define TILES(n) (((n) + TILE - 1) / TILE)

EXPORT tlc_concretise_host(const double *A, const double *xl, const double *xu, double *value, i64 rows, i64 n, i64 per) {
    CHECK(rows, n);
    CHECK(rows, per - 1);
    LAUNCH((rows + ROWS - 1) / ROWS, 1, tlc_concretise, A, xl, xu, value, rows, n, per);
}

EXPORT tlc_step_host(const double *A, const double *B, const double *sl, const double *tl, const double *su, const double *tu,
                     const double *xn, double *C, double *value, i64 rows, i64 n, i64 per_lines, i64 per_box) {
    CHECK(rows, n);
    CHECK(per_lines - 1, per_box - 1);
    LAUNCH((rows + ROWS - 1) / ROWS, 1, tlc_step, A, B, sl, tl, su, tu, xn, C, value, rows, n, per_lines, per_box);
}

EXPORT tlc_scale_host(const double *f, const double *xl, const double *xu, double *yl, double *nu, i64 domains, i64 n) {
    CHECK(domains, n);
    LAUNCH(domains, 1, tlc_scale, f, xl, xu, yl, nu, domains, n);
}

#define CHECK_TILES \
    CHECK(R, J, G, O); \
    CHECK(G, T, O, N); \
    CHECK(I, T); \
    CHECK(R, I, G, N + TILE)

EXPORT tlc_affine_host(const double *xl, const double *xu, const double *W, const int *link, double *yl, double *nu, SIZES) {
    CHECK_TILES;
    LAUNCH(TILES(R * I), G * COLUMN_TILES, tlc_affine, xl, xu, W, link, yl, nu, R, I, J, T, O, N, G);
}

#define ADJOINT(entry, kernel) \
    EXPORT entry(const double *L, const double *W, const int *link, const double *xn, double *C, double *q, SIZES, i64 per) { \
        CHECK_TILES; \
        CHECK(per - 1); \
        LAUNCH(TILES(R * I), G * COLUMN_TILES, kernel, L, W, link, xn, C, q, R, I, J, T, O, N, G, per); \
    }
ADJOINT(tlc_adjoint_host, tlc_adjoint)
ADJOINT(tlc_adjoint_tensor_host, tlc_adjoint_tensor)
