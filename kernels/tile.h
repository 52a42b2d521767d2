/* Products whose left operand is gathered: what the kernels over tiles share. A convolution, its adjoint and a dense map are one
 * product each, without a matrix of patches:
 *     Y[r, i, g, c] = sum over taps a and channels o of X[r, link[i, a], g, o] W[g, a O + o, c]      (0 where link is -1)
 * X (R, J, G, O), W (G, T O, N), link (I, T) with entries -1 to J - 1, Y (R, I, G, N); rows m = r I + i, inner index k = a O + o.
 * A dense map of ``positions`` rows has I = J = positions, T = 1, link[i] = i.
 *
 * A block makes 64 rows (BLOCK_X) times 64 columns of one group (BLOCK_Y), K in steps of 16; rows, columns and inner indices that
 * are not there are zeros, which change no bound: fma_rd(0, w, s) = s for finite w.
 */
#define TILE 64
#define STEPS 16
#define PITCH (TILE + 1)
#define SIZES i64 R, i64 I, i64 J, i64 T, i64 O, i64 N, i64 G
#define COLUMN_TILES ((N + TILE - 1) / TILE)

/* where: the row's first entry of X by its place 0, at: its place's links; -1 where there is no such row. */
#define TILE_ROWS \
    SHARED(i64, where, TILE); SHARED(i64, at, TILE); SHARED(i64, tap, STEPS); SHARED(i64, channel, STEPS); \
    const i64 rows = R * I, inner = T * O, group = BLOCK_Y / COLUMN_TILES; \
    const i64 row0 = BLOCK_X * TILE, col0 = BLOCK_Y % COLUMN_TILES * TILE; \
    PHASE({ if (t < TILE) { \
        const i64 m = row0 + t; \
        where[t] = m / I * J; \
        at[t] = m < rows ? m % I * T : -1; } })

/* The taps and channels of this step's inner indices. */
#define TILE_TAPS \
    PHASE({ if (t < STEPS) { const i64 k = k0 + t; tap[t] = k < inner ? k / O : -1; channel[t] = k % O; } })

/* x[k, m] = X gathered, m < some (a multiple of 16); w[k, c] = W. */
#define LOAD_X(x, X, some) \
    GRID(m, some, k, STEPS, { \
        const i64 j = at[m] < 0 || tap[k] < 0 ? -1 : link[at[m] + tap[k]]; \
        x[k * PITCH + m] = j < 0 ? 0.0 : X[((where[m] + j) * G + group) * O + channel[k]]; })
#define LOAD_W(w) \
    GRID(k, STEPS, c, TILE, { \
        const i64 row = (group * inner + k0 + k) * N + col0; \
        w[k * TILE + c] = k0 + k < inner && c < N - col0 ? W[row + c] : 0.0; })
/* Rows of this tile that are there, up to a multiple of 16: bands beyond have nothing to do. */
#define BANDED (rows - row0 >= TILE ? TILE : (int)((rows - row0 + 15) / 16) * 16)
