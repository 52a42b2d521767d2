"""Statistics of groups of values, as kernels compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, UNIT32, representable, scaled_up, sum_up
from tlcheck.trusted.arith.maps import Affine, IndexMap, SignMap
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require

Floats = NDArray[np.float64]

MAX_GROUP = 1 << 20
"""Values of one group in float32."""
MEAN, VARIANCE = "mean", "variance"


@dataclass(frozen=True, eq=False)
class Unlike(AffineOperation):
    """y = x, where runtimes compute something that the steps here do not bound: ``what``, for those who read the refusal."""

    what: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, "Unlike")

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine((SignMap(1, prod(output)),), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        raise NotDeployable(self.what)


@dataclass(frozen=True, eq=False)
class Statistic(AffineOperation):
    """y = v, the mean or the variance (``of``) of groups of x in a normalisation, ``operator``.

    v has one entry for each group, x the groups one after another. Over the reals x counts for nothing. v is computed in two
    passes: the mean m, then the mean of (x - m)^2. A kernel's statistic differs from that by ``radius``, where the mean and
    the deviations are the kernel's and the squares, their sum and its quotient are exact (radii allow that): so where the
    kernel's mean errs by e and its deviations are rounded, v is the mean of ((x - m - e)(1 + d))^2, |d| <= u, within
    3 u (V + e^2) + e^2 of the variance V.
    """

    operator: str
    of: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"Statistic: takes two operands, got {len(inputs)}")
        v, x = map(prod, inputs)
        require(v > 0 and x > 0 and x % v == 0, f"Statistic: {inputs[0]} groups of {inputs[1]}")
        return inputs[0]

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        nothing = np.full(prod(output), -1, np.int64)
        return Affine((SignMap(1, prod(output)), IndexMap(nothing, prod(inputs[1]))), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """None in two passes. Raises NotDeployable where the profile does not say how."""
        if self.operator not in profile.normalisation:
            raise NotDeployable(
                f"{self.operator}, whose statistics the profile {profile.name} does not describe"
            )
        rule = RULES[profile.normalisation[self.operator], self.of]
        if rule is None:
            return None
        v, x = boxes
        n = x.magnitude.shape[1] // v.lower.shape[1]
        if n > MAX_GROUP:
            raise OutOfRange("float32 statistics of too many values")
        return rule(v, x.magnitude.reshape(len(x.magnitude), -1, n), profile)


def _one_pass_variance(v: Box, x: Floats, profile: Profile) -> Floats:
    """mean(x^2) - mean(x)^2 of x (D, groups, n).

    With s the mean of x^2: the mean of squares errs by gamma_(n+2) s (a square, n - 1 additions, one division; or a product with
    1/n, itself rounded). The mean errs by gamma_(n+1) mean |x|, so its square by at most gamma_(2n+3) (mean |x|)^2 <=
    gamma_(2n+3) s. The difference, at most 2 s before it is rounded, by 2 u s more. In all gamma_(3n+7) s -
    gamma_(n+2) gamma_(2n+3) s; the deviations' own error (``Statistic``) is below 4 u s + gamma_(n+1)^2 s. So gamma_(3n+12) s,
    and what flushes to zero.
    """
    n = x.shape[2]
    squares = (x**2).sum(axis=2)
    representable(Box(squares, squares))
    k = (3 * n + 12) * UNIT32
    up = 1 + Fraction(n + 4, 1 << 50)  # what float64 lost in the sum of squares
    return scaled_up(k / (1 - k) / n * up, squares, (2 * n + 12) * TINY32 * (1 + Fraction(float(x.max()))))


def _welford_share(n: int, profile: Profile) -> tuple[Fraction, Fraction]:
    """(q (1 + q), r): the mean's relative error in ``_welford_mean``, and a quotient's. Raises NotDeployable, OutOfRange."""
    r = profile.quotient()
    q = Fraction(2 * n) * (r + 3 * UNIT32) * (1 + Fraction(1, 1 << 8))
    if not (q <= Fraction(1, 2) and r <= Fraction(1, 1 << 10)):
        raise OutOfRange("float32 statistics of too many values")
    return q * (1 + q), r


def _welford_mean(v: Box, x: Floats, profile: Profile) -> Floats:
    """Welford's and Chan's means: any binary tree of updates, each of which joins two sets A and B (one value: Welford) by

        m' = (n_A / n) m_A + (n_B / n) m_B    or    m' = m_A + (m_B - m_A) n_B / n.

    A quotient errs by r, so either errs by at most k (|m_A| + |m_B|), k = (r + 3 u)(1 + 2^-8), of the computed m_A and m_B. Let
    g be a set's mean of |x|, e its mean's error. Then n (g + e) <= sum over A, B of n_A (1 + k n / n_A)(g_A + e_A); along the
    path of one value from its leaf to the root, whose sets have the sizes 1 = n_0 < ... < n_d = N, the product of
    1 + k n_j / n_(j-1) is at most e^(k sum n_j / n_(j-1)) <= e^(2 k (N - 1)), since n_j / n_(j-1) <= 1 + n_j - n_(j-1). So

        e <= (e^(2 k N) - 1) g <= q (1 + q) g,   q = 2 k N <= 1/2.
    """
    n = x.shape[2]
    share, _ = _welford_share(n, profile)
    total = x.sum(axis=2)
    representable(Box(total, total))
    up = 1 + Fraction(n + 4, 1 << 50)
    return scaled_up(share * up / n, total, _lost(x))


def _lost(x: Floats) -> Fraction:
    """What a mean may lose to underflow: in each of at most N updates 8 operations, whose operands' weights are at most 1."""
    n: int = x.shape[2]
    return 8 * n * TINY32 * (1 + Fraction(float(x.max())))


def _welford_variance(v: Box, x: Floats, profile: Profile) -> Floats:
    """The sum of squares M of a joined set: M_A + M_B + (m_B - m_A)^2 n_A n_B / n (Chan), or M_A + (x - m_A)(x - m') (Welford:
    the same number with n_B = 1), divided by N at the root.

    Let d = m_B - m_A of the exact means, w = n_A n_B / n, so M = sum of w d^2 over the tree, and E >= the errors of both means
    together (``_welford_mean``, with max |x| for g, and E is superadditive in n). The term of the computed means differs
    from w d^2 by at most w (2 |d| E + E^2), or 2 |d| E + E^2 for Welford, where w = n_A / n >= 1/2. With p = min(n_A, n_B), which
    is at least w and 1, by Cauchy and Schwarz the sum of these is at most

        A = 2 E sqrt(2 P M) + P E^2,    P = sum of p over the tree <= (N/2) log2 N  (smaller half).

    The rounding of each term is relative, at most h = 8 u + 3 r (a difference squared, two quotients, four products);
    additions, two for each update, gamma_2N; the quotient r. So with a = A / N <= 2 E sqrt(b V) + (b/2) E^2 for the
    variance V, b = the bits of N, and s = gamma_2N + h + r <= 1/2 the result errs by at most

        a + (s + s^2)(V + a),

    to which come E^2 + 3 u (V + E^2) for the deviations (``Statistic``) and what flushes to zero: 2^-126 for each of ten
    operations of an update, times n at most.
    """
    n = x.shape[2]
    share, r = _welford_share(n, profile)
    tops = x.max(axis=2)
    representable(Box(4 * n * tops**2, 4 * n * tops**2))
    error = scaled_up(share, tops, _lost(x))
    gamma = 2 * n * UNIT32 / (1 - 2 * n * UNIT32)
    s = gamma + 8 * UNIT32 + 4 * r
    if not s <= Fraction(1, 2):
        raise OutOfRange("float32 statistics of too many values")
    bits = n.bit_length()
    up = 1 + 2.0**-40  # what float64 loses below
    variance = np.maximum(v.upper, 0.0)
    a = (2 * error * np.sqrt(bits * variance) + bits / 2 * error**2) * up
    whole = (variance + a + error**2) * up
    charged = scaled_up(s + s**2 + 3 * UNIT32, whole, 16 * n * n * TINY32)
    return sum_up(sum_up(a, charged), error**2 * up)


Rule = Callable[[Box, Floats, Profile], Floats]

RULES: Final[dict[tuple[str, str], Rule | None]] = {
    ("two-pass", MEAN): None,
    ("two-pass", VARIANCE): None,
    ("one-pass", MEAN): None,
    ("one-pass", VARIANCE): _one_pass_variance,
    ("welford", MEAN): _welford_mean,
    ("welford", VARIANCE): _welford_variance,
}
"""By how a profile says that it is computed, and what: how far a kernel's result is from that of two passes; None: not at all."""
