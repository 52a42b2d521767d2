/* Coefficients through an affine map, charged for their rounding, on FP64 units. A thread has 4 x 4 results; adjoint_tile.h has the rest. */
#define NAME tlc_adjoint
#define HAS_ROWS 4
#define HAS_COLUMNS 4
#define ROW(t, i) ((t) / 16 * 4 + (i))
#define COLUMN(t, j) ((j) * 16 + (t) % 16)
#define SLOTS 16
#define SLOT(t) ((t) % 16)
#define LOADED BANDED
#define MULTIPLY(acc, sign) BAND(y, { if (row0 + y * 4 < rows) OUTER(acc, y, sign, sx, sw) })
#include "adjoint_tile.h"
