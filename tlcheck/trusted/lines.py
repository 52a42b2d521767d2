"""Proved lines around activation functions: the relaxation step, for both engines.

For each neuron and interval [l, u]: f(z) >= ls z + lt and f(z) <= us z + ut for every z in [l, u]. Slopes are free
choices (guidance or a heuristic), snapped to multiples of 2^-40; the intercepts are *computed here* as rigorous ends of
    lt <= min over [l, u] of f(z) - ls z,      ut >= max over [l, u] of f(z) - us z,
attained at l, u, a kink of f, or where f' equals the slope. So any slope is sound; a bad one is only loose.

Piecewise-linear functions are done in exact integer arithmetic, the others in Arb. Nothing here rounds to nearest.
Products of two values have planes instead of lines: one line in each of the two, whose sums bound the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.arb import arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.interval_rules import decided, select_range, smooth_range
from tlcheck.trusted.nonlinear import curvature, derivative, smooth_ball
from tlcheck.trusted.ops.activation import Abs, Clip, Elementwise, LeakyRelu, Relu, Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Exp, Smooth

Floats = NDArray[np.float64]
SLOPE_BITS = 40
_ONE = np.int64(1) << np.int64(SLOPE_BITS)


@dataclass(frozen=True, eq=False)
class Lines:
    """(slope, intercept) of the lower and of the upper line, arrays (D, n) or (1, n)."""

    lower: tuple[Floats, Floats]
    upper: tuple[Floats, Floats]


@dataclass(frozen=True, eq=False)
class SlopeGuess:
    """Suggested slopes, (D, n) or (1, n); None leaves the choice to the heuristic."""

    lower: Floats | None = None
    upper: Floats | None = None


NO_GUESS = SlopeGuess()


def snap(slope: Floats) -> Floats:
    """The nearest multiples of 2^-40, at most 2^20 in magnitude, of slopes (D, n), or of several lines (..., D, n).

    Coarser for all of a domain by the factor that brings its largest below 2: the other domains play no part. Not a
    number becomes 0.
    """
    clean = np.clip(np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0), -(2.0**20), 2.0**20)
    but_domains = tuple(a for a in range(clean.ndim) if a != clean.ndim - 2)
    largest = np.abs(clean).max(axis=but_domains, keepdims=True, initial=0.0)
    return _grid(clean, SLOPE_BITS - np.maximum(0, np.frexp(largest)[1] - 1))


def _grid(x: Floats, bits: int | NDArray[np.int32] = SLOPE_BITS) -> Floats:
    return np.ldexp(np.rint(np.ldexp(x, bits)), -bits)


def lines(op: Elementwise, box: Box, guess: SlopeGuess = NO_GUESS) -> Lines:
    """Proved lines of ``op`` on ``box`` (lower <= upper). Raises OutOfRange unless the box is finite."""
    if not bool(np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
        raise OutOfRange("relaxation on an unbounded interval")
    match op:
        case Relu():
            return _relu_lines(box, guess)
        case Sigmoid() | Tanh():
            return _s_shaped_lines(op, box, guess)
        case LeakyRelu() | Abs() | Clip():
            return _piecewise_lines(op, box, guess)
        case Smooth():
            return _smooth_lines(op, box)
        case _:
            raise ValueError(f"no relaxation for {type(op).__name__}")


def stable(op: Elementwise, box: Box) -> NDArray[np.bool_]:
    """Where f is affine on the interval by sign alone, so that tighter bounds would not change its lines."""
    match op:
        case Relu() | LeakyRelu() | Abs():
            signed: NDArray[np.bool_] = (box.lower >= 0) | (box.upper <= 0)
            return signed
        case Clip():
            inside = np.ones(box.lower.shape, bool)
            for kink in _clip_kinks(op, box.lower.shape):
                inside &= (box.lower >= kink) | (box.upper <= kink)
            return inside
        case _:
            return np.equal(box.lower, box.upper)


# Smooth functions: Arb, by curvature.


def _smooth_lines(op: Smooth, box: Box) -> Lines:
    """A tangent and a chord where f bends one way only (on each side of 0, for odd powers and erf); else slope 0.

    Suggested slopes are not used. Where no finite intercept is found the lines are the ends of f's range.
    """
    values = smooth_range(op, box)
    slopes = np.zeros((2, *values.lower.shape))
    pieces: dict[tuple[int, int], list[Piece]] = {}
    for at in np.ndindex(values.lower.shape):
        l, u = float(box.lower[at]), float(box.upper[at])
        if l < u:
            pieces[at] = found = _pieces(op, l, u)
            if found:
                slopes[(0, *at)], slopes[(1, *at)] = _smooth_slopes(op, l, u, found)
    ls, us = snap(slopes)  # together: both lines on one grid
    lt, ut = np.array(values.lower), np.array(values.upper)
    for at, found in pieces.items():
        if found:
            low = min(_least(op, float(ls[at]), piece) for piece in found)
            high = -min(_least(op, -float(us[at]), piece, mirrored=True) for piece in found)
            if np.isfinite(low) and np.isfinite(high):
                lt[at], ut[at] = low, high
            else:
                ls[at] = us[at] = 0.0
    return Lines((ls, lt), (us, ut))


Piece = tuple[float, float, int]
"""(a, b, curvature): f bends one way on [a, b]."""


def _pieces(op: Smooth, l: float, u: float) -> list[Piece]:
    """[l, u] in pieces on which f bends one way; none where that is not known."""
    cuts = [l, 0.0, u] if l < 0 < u and curvature(op, arb(l), arb(u)) == 0 else [l, u]
    found = [(a, b, curvature(op, arb(a), arb(b))) for a, b in pairwise(cuts)]
    return found if all(bend for _, _, bend in found) else []


def _smooth_slopes(op: Smooth, l: float, u: float, pieces: list[Piece]) -> tuple[float, float]:
    """A guess of the lower and the upper slope."""
    a, b = arb(l), arb(u)
    chord = _nearest((smooth_ball(op, b) - smooth_ball(op, a)) / (b - a))
    if len(pieces) > 1:
        return chord, chord
    tangent = _nearest(derivative(op, arb(_touching_point(op, *pieces[0]))))
    return (tangent, chord) if pieces[0][2] > 0 else (chord, tangent)


def _nearest(x: arb) -> float:
    """A guess: the ball's middle."""
    return float(x.mid()) if x.is_finite() else 0.0


def _touching_point(op: Smooth, a: float, b: float, bend: int) -> float:
    """A guess: the middle; for e^z not further than 1 from the lower end, so that the tangent stays positive."""
    middle = a / 2 + b / 2
    return min(middle, a + 0.99) if isinstance(op, Exp) else middle


def _least(op: Smooth, slope: float, piece: Piece, *, mirrored: bool = False) -> float:
    """At most min over the piece of g(z) - slope z, with g = f, or, ``mirrored``, g = -f. May be infinite or NaN: no bound.

    h(z) = g(z) - slope z. Where h bends down its minimum is at an end. Where it bends up, for any m in the piece,
    h(z) >= h(m) + h'(m) (z - m), which is least at an end of the piece.
    """
    a, b, bend = piece
    sign = -1 if mirrored else 1
    s = arb(slope)
    if sign * bend < 0:
        return min(lower_float(sign * smooth_ball(op, z) - s * z) for z in (arb(a), arb(b)))
    m = arb(_matching_point(op, sign * slope, piece))
    height, rise = sign * smooth_ball(op, m) - s * m, sign * derivative(op, m) - s
    return min(lower_float(height + rise * (z - m)) for z in (arb(a), arb(b)))


def _matching_point(op: Smooth, slope: float, piece: Piece) -> float:
    """A guess of the point of the piece where f' is the slope: f' is monotone there."""
    a, b, bend = piece
    m = _touching_point(op, a, b, bend)
    tangent = _nearest(derivative(op, arb(m)))
    if abs(tangent - slope) <= 2.0**-18 * max(1.0, abs(slope)):
        return m
    for _ in range(40):
        m = a / 2 + b / 2
        if (_nearest(derivative(op, arb(m))) < slope) == (bend > 0):
            a = m
        else:
            b = m
    return m


# Products of two values: planes.


@lru_cache(maxsize=16)
def product_planes(x: Box, y: Box) -> tuple[Lines, Lines]:
    """Lines in x and in y: their sum lies below (above) x y on the boxes, (D, n) or (1, n). Raises OutOfRange.

    For any p and q, x y - q x - p y is linear in each of the two, so its least and greatest values over the boxes are
    at corners. p and q are the boxes' middles (the planes then err by at most half the range of (x - p) (y - q)).
    """
    shape = np.broadcast_shapes(x.lower.shape, y.lower.shape)
    if not (np.isfinite(x.largest) and np.isfinite(y.largest)):
        raise OutOfRange("relaxation on an unbounded interval")
    ends = [np.broadcast_to(end, shape) for end in (x.lower, x.upper, y.lower, y.upper)]
    p, q = snap(np.stack([ends[0] / 2 + ends[1] / 2, ends[2] / 2 + ends[3] / 2]))
    low, high = np.empty(shape), np.empty(shape)
    for at in np.ndindex(shape):
        a, b, c, d, along_y, along_x = (arb(float(v[at])) for v in (*ends, p, q))
        corners = [v * w - along_x * v - along_y * w for v in (a, b) for w in (c, d)]
        low[at], high[at] = min(map(lower_float, corners)), max(map(upper_float, corners))
    zero = np.zeros((1, shape[1]))
    return Lines((q, low), (q, high)), Lines((p, zero), (p, zero))


def select_lines(condition: Box, a: Box, b: Box) -> tuple[Lines, Lines]:
    """Lines in a and in b whose sum lies below (above) ``Select``: a where the condition is 1, b where it is 0.

    Where the box does not decide the condition: the ends of the smallest box around a's and b's.
    """
    value = select_range(condition, a, b)
    ones, zeros = (choice.astype(np.float64) for choice in decided(condition))
    open_ = ones + zeros == 0
    low, high = np.where(open_, value.lower, 0.0), np.where(open_, value.upper, 0.0)
    nothing = np.zeros((1, low.shape[1]))
    return Lines((ones, low), (ones, high)), Lines((zeros, nothing), (zeros, nothing))


# ReLU: exact integers, vectorised.


def _relu_lines(box: Box, guess: SlopeGuess) -> Lines:
    """Lower alpha z with alpha in [0, 1]; upper s z + t with t >= max(0 - s l, 0, u - s u)."""
    l, u = box.lower, box.upper
    active, inactive = l >= 0, u <= 0
    unstable = ~(active | inactive)
    some = np.flatnonzero(unstable.any(axis=0))
    alpha = active.astype(np.float64)
    if some.size:
        if guess.lower is None:
            wanted = (u[:, some] > -l[:, some]).astype(np.float64)
        else:
            wanted = _grid(np.clip(np.nan_to_num(guess.lower[:, some], nan=0.0), 0.0, 1.0))
        if wanted.shape[0] > alpha.shape[0]:
            alpha = np.repeat(alpha, wanted.shape[0], axis=0)
        alpha[:, some] = np.where(unstable[:, some], wanted, alpha[:, some])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.where(unstable, u / (u - l), 0.0)
    s = np.where(active, _ONE, np.ceil(np.ldexp(np.clip(chord, 0.0, 1.0), SLOPE_BITS)).astype(np.int64))
    s = np.where(inactive & ~active, np.int64(0), s)
    t = np.zeros(s.shape)
    if some.size:
        part = np.maximum(_times_up(-s[:, some], l[:, some]), _times_up(_ONE - s[:, some], u[:, some]))
        t[:, some] = np.where(unstable[:, some], np.maximum(part, 0.0), 0.0)
    slope = np.ldexp(s.astype(np.float64), -SLOPE_BITS)
    return Lines((alpha, np.zeros((1, l.shape[1]))), (slope, t))


def _times_up(w: NDArray[np.int64], x: Floats) -> Floats:
    """A double >= w 2^-40 x, for |w| <= 2^41, entrywise; exact integer arithmetic, rounded up."""
    mantissa, exponent = np.frexp(x)
    m = np.ldexp(mantissa, 53).astype(np.int64)
    product = int128.negate(int128.multiply(w, m))
    s = np.maximum(int128.bit_length(product) - 53, 0)
    q = -int128.shift_right_floor(product, s)  # ceil
    e = exponent.astype(np.int64) - 53 - SLOPE_BITS + s
    result = np.ldexp(q.astype(np.float64), e.astype(np.int32))
    # |q| <= 2^53 converts exactly; ldexp is exact unless the result is subnormal, where one step up covers it.
    return np.where((np.abs(result) < 2.0**-1000) & (q != 0), np.maximum(result, 0.0) + 2.0**-1000, result)


# Other piecewise-linear functions: Arb at the ends and kinks.


def _clip_kinks(op: Clip, shape: tuple[int, ...]) -> list[Floats]:
    kinks = []
    for bound in (op.lower, op.upper):
        if bound is not None:
            kinks.append(np.broadcast_to(_flat(bound.mid, shape[1]), shape))
    return kinks


def _flat(values: NDArray[np.floating], n: int) -> Floats:
    """One bound per value, or one for all, as a flat array that broadcasts to (D, n)."""
    flat = values.astype(np.float64).reshape(-1)
    if flat.size not in (1, n):
        raise ValueError("Clip: bounds do not fit")
    return flat


def piecewise_value(op: Elementwise, z: arb, position: int) -> arb:
    """f(z) for an exact z, of neuron ``position``."""
    zero = arb(0)
    match op:
        case Relu():
            return z if z >= 0 else zero
        case LeakyRelu():
            return z if z >= 0 else arb(op.alpha) * z
        case Abs():
            return z if z >= 0 else -z
        case Clip():
            for bound, below in ((op.lower, True), (op.upper, False)):
                if bound is not None:
                    flat = bound.mid.astype(np.float64).reshape(-1)
                    b = arb(float(flat[position if flat.size > 1 else 0]))
                    if (z < b) if below else (z > b):
                        z = b
            return z
        case _:
            raise ValueError(f"{type(op).__name__} is not piecewise linear")


def _piecewise_lines(op: Elementwise, box: Box, guess: SlopeGuess) -> Lines:
    shape = np.broadcast_shapes(
        box.lower.shape, *(g.shape for g in (guess.lower, guess.upper) if g is not None)
    )
    l, u = np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape)
    kinks = [np.zeros(shape)] if not isinstance(op, Clip) else _clip_kinks(op, shape)
    values = _float_values(op, [l, u, *(np.clip(k, l, u) for k in kinks)])
    with np.errstate(divide="ignore", invalid="ignore"):
        chord = np.where(u > l, (values[1] - values[0]) / (u - l), 0.0)
    given = [None if g is None else np.broadcast_to(g, shape) for g in (guess.lower, guess.upper)]
    own = [
        _touching(op, l, u, chord, values, lower) if g is None else g
        for g, lower in zip(given, (True, False), strict=True)
    ]
    ls, us = snap(np.stack(own))  # together: both lines on one grid
    lt, ut = np.empty(shape), np.empty(shape)
    for d, k in np.ndindex(shape):
        points = [arb(float(l[d, k])), arb(float(u[d, k]))]
        points += [arb(float(kink[d, k])) for kink in kinks if l[d, k] < kink[d, k] < u[d, k]]
        heights = [piecewise_value(op, p, k) for p in points]
        lt[d, k] = min(
            lower_float(h - arb(float(ls[d, k])) * p) for h, p in zip(heights, points, strict=True)
        )
        ut[d, k] = max(
            upper_float(h - arb(float(us[d, k])) * p) for h, p in zip(heights, points, strict=True)
        )
    return Lines((ls, lt), (us, ut))


def _float_values(op: Elementwise, points: list[Floats]) -> list[Floats]:
    """f at points, in floats (a guess of slopes only)."""
    match op:
        case LeakyRelu():
            return [np.where(p >= 0, p, op.alpha * p) for p in points]
        case Abs():
            return [np.abs(p) for p in points]
        case Clip():
            result = []
            for p in points:
                if op.lower is not None:
                    p = np.maximum(p, _flat(op.lower.mid, p.shape[1]))
                if op.upper is not None:
                    p = np.minimum(p, _flat(op.upper.mid, p.shape[1]))
                result.append(p)
            return result
        case _:
            raise ValueError(f"{type(op).__name__} is not piecewise linear")


def _touching(
    op: Elementwise, l: Floats, u: Floats, chord: Floats, values: list[Floats], lower: bool
) -> Floats:
    """A guess: the chord where f is on its convex (concave) side, else a slope of one of f's pieces."""
    match op:
        case Abs():
            convex, left, right = np.ones(l.shape, bool), -1.0, 1.0
        case LeakyRelu():
            convex, left, right = np.full(l.shape, op.alpha <= 1), op.alpha, 1.0
        case _:
            # Clip: convex around its lower kink, concave around its upper one.
            flat_low = values[0] > l
            flat_high = values[1] < u
            one_sided = np.where(lower, np.where(flat_low, np.where(u > -l, 1.0, 0.0), chord), chord)
            other = np.where(flat_high, np.where(u > -l, 0.0, 1.0), chord)
            return np.where(
                flat_low & flat_high, chord, np.where(lower, one_sided, np.where(flat_high, other, chord))
            )
    steep = np.where(u > -l, right, left)
    stable_side = (l >= 0) | (u <= 0)
    return np.where(stable_side | (convex != lower), chord, steep)


# S-shaped functions: Arb.


def _s_shaped_lines(op: Elementwise, box: Box, guess: SlopeGuess) -> Lines:
    shape = np.broadcast_shapes(
        box.lower.shape, *(g.shape for g in (guess.lower, guess.upper) if g is not None)
    )
    l, u = np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape)
    ls = (
        _grid(_clean(guess.lower, shape))
        if guess.lower is not None
        else _grid(s_shaped_slope(op, l, u, True))
    )
    us = (
        _grid(_clean(guess.upper, shape))
        if guess.upper is not None
        else _grid(s_shaped_slope(op, l, u, False))
    )
    lt, ut = np.empty(shape), np.empty(shape)
    curve = _sigmoid if isinstance(op, Sigmoid) else _tanh
    extreme = _sigmoid_extreme if isinstance(op, Sigmoid) else _tanh_extreme
    for d, k in np.ndindex(shape):
        a, b = arb(float(l[d, k])), arb(float(u[d, k]))
        fa, fb = curve(a), curve(b)
        w = arb(float(ls[d, k]))
        low = [fa - w * a, fb - w * b]
        inner = extreme(w, a, b, minimum=True)
        if inner is not None:
            low.append(inner)
        v = arb(float(us[d, k]))
        high = [fa - v * a, fb - v * b]
        inner = extreme(v, a, b, minimum=False)
        if inner is not None:
            high.append(inner)
        lt[d, k] = min(lower_float(h) for h in low)
        ut[d, k] = max(upper_float(h) for h in high)
    return Lines((ls, lt), (us, ut))


def _clean(slope: Floats, shape: tuple[int, ...]) -> Floats:
    return np.clip(np.nan_to_num(np.broadcast_to(slope, shape), nan=0.0), -1.0, 1.0)


def _sigmoid(z: arb) -> arb:
    return (1 + (z / 2).tanh()) / 2


def _tanh(z: arb) -> arb:
    return z.tanh()


Extreme = Callable[[arb, arb, arb, bool], arb | None]


def _sigmoid_extreme(w: arb, a: arb, b: arb, minimum: bool) -> arb | None:
    """The interior minimum (maximum) of sigmoid(z) - w z on [a, b]; None if certainly none.

    sigmoid' = s(1 - s) = w at s = (1 -+ r)/2, r = sqrt(1 - 4w), z = -+log((1 + r)/(1 - r)); z < 0 is the local
    minimum, z > 0 the local maximum. None for w <= 0 or w >= 1/4: then the difference is monotone.
    """
    if not (w > 0 and 4 * w < 1):
        return None
    r = (1 - 4 * w).sqrt()
    z = ((1 + r) / (1 - r)).log()
    if minimum:
        return None if -z < a or -z > b else (1 - r) / 2 + w * z
    return None if z < a or z > b else (1 + r) / 2 - w * z


def _tanh_extreme(w: arb, a: arb, b: arb, minimum: bool) -> arb | None:
    """As _sigmoid_extreme: tanh' = 1 - t^2 = w at t = -+sqrt(1 - w), z = -+log((1 + t)/(1 - t))/2."""
    if not (w > 0 and w < 1):
        return None
    t = (1 - w).sqrt()
    z = ((1 + t) / (1 - t)).log() / 2
    if minimum:
        return None if -z < a or -z > b else w * z - t
    return None if z < a or z > b else t - w * z


def s_shaped_slope(op: Elementwise, l: Floats, u: Floats, lower: bool) -> Floats:
    """A guess of a good slope in floats: chord, tangent at the middle, or tangent through an end."""
    sign = 1.0 if lower else -1.0
    f, df = _float_curve(op)
    a, b = (
        (l, u) if lower else (-u, -l)
    )  # by symmetry, the upper line is the lower line of the mirrored curve
    shift = 0.5 if isinstance(op, Sigmoid) else 0.0

    def g(z: Floats) -> Floats:
        return sign * (f(sign * z) - shift)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.where(b > a, (g(b) - g(a)) / (b - a), df(a))
        low, high = np.minimum(a, 0.0), np.zeros_like(a)
        # tangent at d in [a, 0] passing below (b, g(b)): the largest such d
        for _ in range(40):
            mid = 0.5 * (low + high)
            below = g(mid) + df(mid) * (b - mid) <= g(b)
            low, high = np.where(below, mid, low), np.where(below, high, mid)
        tangent = df(np.where(b <= 0, 0.5 * (a + b), np.minimum(low, 0.5 * (a + b))))
    usable = g(a) + df(a) * (b - a) <= g(b)
    return np.where((a >= 0) | ~usable, chord, tangent)


def _float_curve(op: Elementwise) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    if isinstance(op, Sigmoid):

        def f(z: Floats) -> Floats:
            return 0.5 * (1 + np.tanh(0.5 * z))

        return f, lambda z: f(z) * (1 - f(z))
    return np.tanh, lambda z: 1 - np.tanh(z) ** 2
