/* Bounds of y + W x over boxes, added to yl, nu. tile.h says which product; yl from below, nu from below of the negative, for W exact and
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
    PRIVATE(lo, 16);
    PRIVATE(no, 16);
    TILE_ROWS
    BAND(y, {
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) ACROSS(x, {
            const i64 m = row0 + y * 4 + i, c = col0 + j * 16 + x, place = (m * G + group) * N + c;
            const int there = m < rows && c < N;
            MINE(lo, i * 4 + j) = there ? yl[place] : 0.0;
            MINE(no, i * 4 + j) = there ? nu[place] : 0.0;
        })
    })
    for (i64 k0 = 0; k0 < inner; k0 += STEPS) {
        TILE_TAPS
        LOAD_X(sl, xl, BANDED)
        LOAD_X(su, xu, BANDED)
        LOAD_W(sw)
        BAND(y, {
            if (row0 + y * 4 < rows) {
                OUTER_SIGNED(lo, y, +, sl, su, sw)
                OUTER_SIGNED(no, y, -, su, sl, sw)
            }
        })
    }
    BAND(y, {
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) ACROSS(x, {
            const i64 m = row0 + y * 4 + i, c = col0 + j * 16 + x, place = (m * G + group) * N + c;
            if (m < rows + OVERRUN && c < N) {
                yl[place] = MINE(lo, i * 4 + j);
                nu[place] = MINE(no, i * 4 + j);
            }
        })
    })
}
