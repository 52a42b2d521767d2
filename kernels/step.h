/* One step of the backward pass through lines, with its charges.
 *
 * Entry by entry: coefficients A on f(z) become coefficients C on z, for lines sl z + tl <= f(z) <= su z + tu; what B holds on z
 * is added; value takes the intercepts and the charges.
 *
 * A, B (or null: zeros), C (rows, n); sl, tl, su, tu (domains, n), row r's being r / per_lines; xn (domains, n), r / per_box:
 * z_j >= -xn_j. value (rows).
 * With s, t the line on the side of a's sign: a f(z) + b z >= (a s + b) z + a t. c = fma_rd(a, s, b) and
 * m = fma_rd(-a, s, -b) give c <= a s + b <= -m, so that (a s + b) z >= c z + (c + m) xn: for z >= 0 nothing is lost, else
 * (a s + b - c) z >= -(-m - c) xn. c 0 is 0 but for what is not finite: then value is NaN and stays it.
 */
KERNEL(tlc_step, const double *__restrict__ A, const double *__restrict__ B, const double *__restrict__ sl,
       const double *__restrict__ tl, const double *__restrict__ su, const double *__restrict__ tu,
       const double *__restrict__ xn, double *__restrict__ C, double *__restrict__ value, i64 rows, i64 n, i64 per_lines, i64 per_box) {
    SHARED(double, part, THREADS);
    PHASE({ part[t] = 0.0; })
#define STEP(b) \
    EACH(r, rows, j, n, const i64 row = r * n; const i64 line = r / per_lines * n; const i64 own = r / per_box * n, { \
        const double a = A[row + j], s1 = sl[line + j], s2 = su[line + j], t1 = tl[line + j], t2 = tu[line + j]; \
        const double s = a >= 0.0 ? s1 : s2, v = a >= 0.0 ? t1 : t2; \
        const double c = fma_rd(a, s, b), m = fma_rd(-a, s, -(b)); \
        C[row + j] = c; \
        double sum = fma_rd(a, v, part[t]); \
        sum = fma_rd(add_rd(c, m), xn[own + j], sum); \
        part[t] = fma_rd(c, 0.0, sum); \
    })
    if (B) {
        STEP(B[row + j])
    } else {
        STEP(0.0)
    }
#undef STEP
    for (int half = LANES / 2; half > 0; half >>= 1) {
        LANE(half, { part[t] = add_rd(part[t], part[t + half]); })
    }
    LEAD(r, rows, { value[r] = add_rd(value[r], part[t]); })
}
