/* The least value of rows of coefficients over boxes, added to value.
 *
 * value[r] <- a lower bound of value[r] + min over x in [xl, xu] of sum_j A[r, j] x_j.
 * A (rows, n); xl, xu (domains, n), row r's box being r / per; both null: x = 1.
 * a x >= a xl for a >= 0, a xu for a < 0; fma_rd(a, x, s) <= a x + s; sums of lower bounds, rounded down, are lower bounds in
 * any order. Where an entry is not finite, neither is the value, or it is NaN.
 */
KERNEL(tlc_concretise, const double *__restrict__ A, const double *__restrict__ xl, const double *__restrict__ xu,
       double *__restrict__ value, i64 rows, i64 n, i64 per) {
    SHARED(double, part, THREADS);
    PHASE({ part[t] = 0.0; })
    if (xl) {
        EACH(r, rows, j, n, const double *mine = A + r * n; const i64 own = r / per * n, {
            const double a = mine[j], low = xl[own + j], high = xu[own + j];
            part[t] = fma_rd(a, a >= 0.0 ? low : high, part[t]);
        })
    } else {
        EACH(r, rows, j, n, const double *mine = A + r * n, { part[t] = add_rd(mine[j], part[t]); })
    }
    for (int half = LANES / 2; half > 0; half >>= 1) {
        LANE(half, { part[t] = add_rd(part[t], part[t + half]); })
    }
    LEAD(r, rows, { value[r] = add_rd(value[r], part[t]); })
}
