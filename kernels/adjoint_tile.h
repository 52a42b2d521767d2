/* Coefficients through an affine map, with charges from what was computed; the text of two kernels (NAME), which differ in who
 * holds which results (HAS_ROWS x HAS_COLUMNS a thread, at ROW(t, i), COLUMN(t, j); SLOTS threads share a row, SLOT(t) is which)
 * and in how they multiply (MULTIPLY(acc, sign), a phase: acc += sign x w for this step, every operation rounded down).
 *
 * tile.h says which product: L (R, J, G, O) and W exact, C (R, I, G, N), q (R, I, G, column tiles); xn (domains, I, G, N), row r's
 * being r / per: x >= -xn. Then C <= L W, and for these x
 *     sum_c (L W)[c] x_c >= sum_c C[c] x_c + q,    over the columns of q's tile.
 * lo is a sum of L W rounded down, no one of -(L W): lo <= L W <= -no. C = lo. Where x_c >= 0, (L W - C) x_c >= 0; else it is
 * >= -(-no - lo) xn >= (rounded down) (lo + no) xn. No assumption on the order of the sum or on its length. A tile all of whose xn are
 * 0 needs no ``no``. C 0 is 0 but for what is not finite: then q is NaN.
 */
KERNEL(NAME, const double *__restrict__ L, const double *__restrict__ W, const int *__restrict__ link,
       const double *__restrict__ xn, double *__restrict__ C, double *__restrict__ q, SIZES, i64 per) {
    SHARED(double, sx, STEPS * PITCH);
    SHARED(double, sw, STEPS * TILE);
    SHARED(double, part, TILE * SLOTS);
    SHARED(int, charged, THREADS);
    PRIVATE(lo, 16);
    PRIVATE(no, 16);
    TILE_ROWS
    SHARED(i64, own, TILE);
    PHASE({ if (t < TILE) {
        const i64 m = row0 + t;
        own[t] = ((m / I / per * I + m % I) * G + group) * N + col0;
    } })
    PHASE({
        int some = 0;
        UNROLL for (int i = 0; i < HAS_ROWS; i++) UNROLL for (int j = 0; j < HAS_COLUMNS; j++) {
            const int m = ROW(t, i), c = COLUMN(t, j);
            MINE(lo, i * HAS_COLUMNS + j) = MINE(no, i * HAS_COLUMNS + j) = 0.0;
            if (m < rows - row0 && c < N - col0) some |= xn[own[m] + c] != 0.0;
        }
        charged[t] = some;
    })
    for (int half = THREADS / 2; half > 0; half >>= 1) {
        PHASE({ if (t < half) charged[t] |= charged[t + half]; })
    }
    for (i64 k0 = 0; k0 < inner; k0 += STEPS) {
        TILE_TAPS
        LOAD_X(sx, L, LOADED)
        LOAD_W(sw)
        MULTIPLY(lo, +)
        if (charged[0]) {
            MULTIPLY(no, -)
        }
    }
    PHASE({
        UNROLL for (int i = 0; i < HAS_ROWS; i++) {
            const int m = ROW(t, i);
            const i64 row = ((row0 + m) * G + group) * N + col0;
            double sum = 0.0;
            UNROLL for (int j = 0; j < HAS_COLUMNS; j++) {
                const int c = COLUMN(t, j);
                const double low = MINE(lo, i * HAS_COLUMNS + j);
                if (m < rows - row0 && c < N - col0) {
                    C[row + c] = low;
                    sum = fma_rd(add_rd(low, MINE(no, i * HAS_COLUMNS + j)), xn[own[m] + c], sum);
                    sum = fma_rd(low, 0.0, sum);
                }
            }
            part[m * SLOTS + SLOT(t)] = sum;
        }
    })
    PHASE({
        if (t < TILE && row0 + t < rows) {
            double sum = 0.0;
            for (int k = 0; k < SLOTS; k++) sum = add_rd(sum, part[t * SLOTS + k]);
            q[((row0 + t) * G + group) * COLUMN_TILES + BLOCK_Y % COLUMN_TILES] = sum;
        }
    })
}
#undef NAME
#undef HAS_ROWS
#undef HAS_COLUMNS
#undef ROW
#undef COLUMN
#undef SLOTS
#undef SLOT
#undef LOADED
#undef MULTIPLY
