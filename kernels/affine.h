/* yl, nu <- bounds of y + W x over boxes (tile.h says which product): yl from below, nu from below of the negative, for W exact and
 * x in [xl, xu] (R, J, G, O); yl, nu (R, I, G, N). A thread has 4 x 4 results.
 *
 * w x >= w xl for w >= 0, w xu for w < 0; of the negative, the other way; fma_rd(w, x, s) <= w x + s, by induction over k. An
 * overflow gives -infinity or the largest double, each a lower bound. No bound on how many terms there are.
 */
KERNEL(tlc_affine, const double *__restrict__ xl, const double *__restrict__ xu, const double *__restrict__ W,
       const int *__restrict__ link, double *__restrict__ yl, double *__restrict__ nu, SIZES) {
    SHARED(double, sl, STEPS * PITCH);
    SHARED(double, su, STEPS * PITCH);
    SHARED(double, sw, STEPS * TILE);
    PRIVATE(double, lo, 16);
    PRIVATE(double, no, 16);
    TILE_ROWS
    PHASE({
        const i64 m = row0 + t / 16 * 4, c = col0 + t % 16 * 4;
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) {
            const int there = m + i < rows && c + j < N;
            const i64 place = ((m + i) * G + group) * N + c + j;
            MINE(lo)[i * 4 + j] = there ? yl[place] : 0.0;
            MINE(no)[i * 4 + j] = there ? nu[place] : 0.0;
        }
    })
    for (i64 k0 = 0; k0 < inner; k0 += STEPS) {
        TILE_TAPS
        LOAD_X(sl, xl)
        LOAD_X(su, xu)
        LOAD_W(sw)
        PHASE({
            const int y = t / 16 * 4, x = t % 16 * 4;
            if (row0 + y < rows) {
                for (int k = 0; k < STEPS; k++)
                    UNROLL for (int i = 0; i < 4; i++) {
                        const double low = sl[k * PITCH + y + i], high = su[k * PITCH + y + i];
                        UNROLL for (int j = 0; j < 4; j++) {
                            const double w = sw[k * TILE + x + j];
                            MINE(lo)[i * 4 + j] = fma_rd(w, w >= 0.0 ? low : high, MINE(lo)[i * 4 + j]);
                            MINE(no)[i * 4 + j] = fma_rd(-w, w >= 0.0 ? high : low, MINE(no)[i * 4 + j]);
                        }
                    }
            }
        })
    }
    PHASE({
        const i64 m = row0 + t / 16 * 4, c = col0 + t % 16 * 4;
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) {
            const i64 place = ((m + i) * G + group) * N + c + j;
            if (m + i < rows + OVERRUN && c + j < N) {
                yl[place] = MINE(lo)[i * 4 + j];
                nu[place] = MINE(no)[i * 4 + j];
            }
        }
    })
}
