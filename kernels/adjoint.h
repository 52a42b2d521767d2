/* On FP64 units: a thread has 4 x 4 results; two FMAs a product. */
#define NAME tlc_adjoint
#define HAS_ROWS 4
#define HAS_COLUMNS 4
#define ROW(t, i) ((t) / 16 * 4 + (i))
#define COLUMN(t, j) ((t) % 16 * 4 + (j))
#define SLOTS 16
#define SLOT(t) ((t) % 16)
#define HELD(t) (row0 + ROW(t, 0) < rows && col0 + COLUMN(t, 0) < N)
#define MULTIPLY(acc, sign) \
    for (int k = 0; k < STEPS; k++) \
        UNROLL for (int i = 0; i < 4; i++) { \
            const double a = sign sx[k * PITCH + ROW(t, i)]; \
            UNROLL for (int j = 0; j < 4; j++) \
                MINE(acc)[i * 4 + j] = fma_rd(a, sw[k * TILE + COLUMN(t, j)], MINE(acc)[i * 4 + j]); \
        }
#include "adjoint_tile.h"
