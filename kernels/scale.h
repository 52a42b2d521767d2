/* Bounds of y + f x over boxes, entry by entry, added to yl, nu. yl from below, nu from below of the negative, for f exact and x in [xl, xu].
 *
 * f (n); xl, xu, yl, nu (domains, n). Block: a domain. f x >= f xl for f >= 0, f xu for f < 0; of the negative, the other way.
 */
KERNEL(tlc_scale, const double *__restrict__ f, const double *__restrict__ xl, const double *__restrict__ xu,
       double *__restrict__ yl, double *__restrict__ nu, i64 domains, i64 n) {
    const i64 row = BLOCK_X * n;
    if (BLOCK_X >= domains) return;
    STRIDED(j, n, {
        const double w = f[j], low = xl[row + j], high = xu[row + j];
        yl[row + j] = fma_rd(w, w >= 0.0 ? low : high, yl[row + j]);
        nu[row + j] = fma_rd(-w, w >= 0.0 ? high : low, nu[row + j]);
    })
}
