"""ODE corridors: networks between which every solution of an initial value problem stays, proved with zero tolerance.

Let u_i' = f_i(t, u), i = 1..n, and on each segment [a, b] let v_i (lower) and w_i (upper) be curves. CERTIFIED means that all
the conditions below hold, and then the theorem.

    initial value    v_i(a) <= lo_i and hi_i <= w_i(a), with [lo, hi] the segment's initial box
    order            v_i <= w_i on [a, b]
    sub-solution     v_i' <= f_i(t, v) on [a, b]
    super-solution   w_i' >= f_i(t, w) on [a, b]
    domain           at every t in [a, b] and u in [v(t), w(t)] each function in f is analytic, or is abs: so f is defined
                     and locally Lipschitz in an open neighbourhood of the corridor
    quasi-monotone   df_i/du_j >= 0 on the corridor for j != i (for abs: both one-sided derivatives)
    hand-off         the next segment starts at b, with v_next(b) <= v(b) and w(b) <= w_next(b)
    forever          f(v(T)) >= 0 >= f(w(T)) at the end T of the last segment, f without t (only where claimed)

At a kink of v or w, v' and w' are both one-sided derivatives. With a slack s > 0, order, sub- and super-solution are
weakened by s, and the theorem is not claimed.

Theorem. For every segment and every u(a) in its initial box there is exactly one solution on [a, T]. From a on it lies in the
corridor, and after T, where claimed, in the box [v(T), w(T)] for ever.

Proof. Let g_i(t, u) = f_i(t, min(max(u, v), w)), per component. g is bounded and Lipschitz in u: the corridor is compact
and convex in u. So u' = g has one solution. Where d = v_i - u_i > 0: the argument of f has i-th component v_i and
others >= v_j; along the segment between, f_i rises (quasi-monotone), so u_i' >= f_i(t, v) >= v_i' almost everywhere and d
does not grow. As d(a) <= 0 it stays <= 0 (v and w are Lipschitz); so does u_i - w_i. So the solution of u' = g is in the
corridor, and solves u' = f. A second solution of u' = f agrees with it as long as it is in the neighbourhood where f is
Lipschitz, so always. At a joint the solution is in the next corridor by the hand-off. Constant walls after T: the same
argument. qed

Comparison. Order follows from the other conditions of the segment (Gronwall for the sum of max(v_i - w_i, 0), f being
Lipschitz between the curves): where curves touch and enclosures cannot decide, it is concluded.

How. Sub- and super-solution and order are residuals over time (residuals.py); domain and quasi-monotone are proved on
boxes in t and in the share s of u = (1 - s) v + s w, by bisection too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from tlcheck.trusted.arith.arb import Arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.affine_pieces import TooManyPieces
from tlcheck.trusted.calculus.expression import Expression, is_total, text, variables
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.ranges import hull
from tlcheck.trusted.calculus.series import Series, Undefined, variable
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, Slack, fact, nonnegative, undecided
from tlcheck.trusted.science.curves import TIME, Curve, Piece, Tick, middle_of, together, value_at, values_on
from tlcheck.trusted.science.residuals import MAX_BOXES, MAX_DEPTH, Effort, Gap, Inequality, Search


@dataclass(frozen=True)
class Segment:
    """[start, end] with the box of initial values and the curves, one per state."""

    start: Fraction
    end: Fraction
    initial: tuple[tuple[Fraction, Fraction], ...]
    lower: tuple[Curve, ...]
    upper: tuple[Curve, ...]

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError("a segment must end after it starts")
        if not len(self.initial) == len(self.lower) == len(self.upper):
            raise ValueError("a segment needs one initial interval and two curves per state")
        if any(low > high for low, high in self.initial):
            raise ValueError("an empty initial interval")


@dataclass(frozen=True)
class CorridorClaim(ConditionClaim):
    """``rhs``: f_i over t and the states. ``slack``: s above. ``numbers``: how the reader read decimals."""

    states: tuple[str, ...]
    rhs: tuple[Expression, ...]
    segments: tuple[Segment, ...]
    slack: Fraction = Fraction(0)
    forever: bool = False
    numbers: str = "exact"

    kind = "corridor"

    def __post_init__(self) -> None:
        known = {TIME, *self.states}
        if not self.segments or not self.states or len(known) != len(self.states) + 1:
            raise ValueError("a corridor needs segments, and states of different names, none of them t")
        if len(self.rhs) != len(self.states) or any(not variables(f) <= known for f in self.rhs):
            raise ValueError("one right-hand side per state, over t and the states")
        if any(len(s.initial) != len(self.states) for s in self.segments):
            raise ValueError("a segment has other states")
        if self.slack < 0 or (self.forever and any(TIME in variables(f) for f in self.rhs)):
            raise ValueError("a negative slack, or walls for ever where f depends on t")

    @property
    def statement(self) -> str:
        """What CERTIFIED asserts."""
        written = partial(number_text, nearest=not self.numbers.startswith("exact"))
        system = ", ".join(
            f"{u}' = {text(f, **written.keywords)}" for u, f in zip(self.states, self.rhs, strict=True)
        )
        first, end = self.segments[0], written(self.segments[-1].end)
        start = written(first.start)
        box = ", ".join(
            f"{u}({start}) in [{written(low)}, {written(high)}]"
            for u, (low, high) in zip(self.states, first.initial, strict=True)
        )
        read = f" (numbers: {self.numbers})"
        if self.slack:
            return (
                f"the lower and upper curves are sub- and super-solutions of {system} on [{start}, {end}] up to a slack of "
                f"{written(self.slack)} in each inequality, which does not enclose the solution{read}"
            )
        after = f", and after {end} for ever between their values there" if self.forever else ""
        later = "; so from the initial values of every later segment" if len(self.segments) > 1 else ""
        return (
            f"the lower and upper curves are sub- and super-solutions of {system} on [{start}, {end}]: from every {box} there "
            f"is exactly one solution, and it stays between them{after}{later}{read}"
        )

    def checks(self, precision: int, tick: Tick) -> Iterator[Check | Measure]:
        """Every condition of every segment, joint and end."""
        effort = Effort()
        for k, segment in enumerate(self.segments):
            if k:
                yield from _hand_off(self.segments[k - 1], segment, f"joint {k}")
            yield from _segment_checks(self, segment, f"segment {k}", effort, tick)
        last = self.segments[-1]
        if self.forever:
            yield from _walls(self, last)
        yield Measure("width_at_end", [_width(last, i) for i in range(len(self.states))])
        yield Measure("boxes", effort.boxes)
        yield Measure("depth", effort.depth)
        yield Measure("decimals", self.numbers)
        if self.slack:
            yield Measure("slack_used", number_text(self.slack))


def _minus(x: Slack | None, y: Slack | None) -> Slack | None:
    """x - y, exact where both are."""
    if x is None or y is None:
        return None
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x - y
    return (ball(x) if isinstance(x, Fraction) else x) - (ball(y) if isinstance(y, Fraction) else y)


def _difference(name: str, x: Slack | None, y: Slack | None, where: str) -> Check:
    """The condition x - y >= 0."""
    slack = _minus(x, y)
    return undecided(name, where) if slack is None else nonnegative(name, slack, where)


# Conditions at single points.


def _hand_off(before: Segment, after: Segment, where: str) -> Iterator[Check]:
    yield fact(
        "hand-off time", before.end == after.start, f"{where}, t = {number_text(before.end, nearest=True)}"
    )
    for i, (lower, upper) in enumerate(zip(before.lower, before.upper, strict=True)):
        at = f"{where}, state {i}"
        yield _difference(
            "hand-off, lower", value_at(lower, before.end), value_at(after.lower[i], after.start), at
        )
        yield _difference(
            "hand-off, upper", value_at(after.upper[i], after.start), value_at(upper, before.end), at
        )


def _initial(segment: Segment, where: str) -> Iterator[Check]:
    for i, (low, high) in enumerate(segment.initial):
        at = f"{where}, state {i}"
        yield _difference("initial value, lower", low, value_at(segment.lower[i], segment.start), at)
        yield _difference("initial value, upper", value_at(segment.upper[i], segment.start), high, at)


def _walls(claim: CorridorClaim, last: Segment) -> Iterator[Check]:
    """f(v(T)) >= 0 >= f(w(T)); by quasi-monotonicity f_i points inward on all of each face of [v(T), w(T)]."""
    for name, curves, sign in (("forever, lower", last.lower, 1), ("forever, upper", last.upper, -1)):
        values = [value_at(curve, last.end) for curve in curves]
        for i, f in enumerate(claim.rhs):
            where = f"t >= {number_text(last.end, nearest=True)}, state {i}"
            slack = _rhs_at(claim, f, values)
            yield undecided(name, where) if slack is None else nonnegative(name, sign * slack, where)


def _rhs_at(claim: CorridorClaim, f: Expression, values: list[Slack | None]) -> Arb | None:
    at: dict[str, Series] = {}
    for name, value in zip(claim.states, values, strict=True):
        if value is None:
            return None
        at[name] = [ball(value) if isinstance(value, Fraction) else value]
    try:
        return evaluate(f, at, 0)[0]
    except Undefined:
        return None


def _width(segment: Segment, i: int) -> list[float] | None:
    """Doubles around w_i(T) - v_i(T)."""
    width = _minus(value_at(segment.upper[i], segment.end), value_at(segment.lower[i], segment.end))
    if width is None:
        return None
    enclosure = ball(width) if isinstance(width, Fraction) else width
    return [lower_float(enclosure) + 0.0, upper_float(enclosure) + 0.0]


# Conditions on a segment.


def _segment_checks(
    claim: CorridorClaim, segment: Segment, where: str, effort: Effort, tick: Tick
) -> Iterator[Check]:
    """All conditions of one segment; order last, as it may follow from the others."""
    done = list(_initial(segment, where))
    yield from done
    n = len(claim.states)
    try:
        pieces = together((*segment.lower, *segment.upper), segment.start, segment.end, tick)
    except TooManyPieces as problem:
        yield undecided("sub-solution", f"{where}: {problem}")
        return
    search = Search(pieces, claim.slack, where, effort, tick)
    for i, f in enumerate(claim.rhs):
        for name, first, sign in (("sub-solution", 0, -1), ("super-solution", n, 1)):
            check = search.check(name, Inequality(claim.states, f, first, i, sign), _state(where, n, i))
            done.append(check)
            yield check
    for i, f in enumerate(claim.rhs):
        for check in _region_checks(claim, f, i, search, where):
            done.append(check)
            yield check
    for i in range(n):
        check = search.check("order", Gap(i, n + i), _state(where, n, i))
        if check.holds is None and all(c.holds for c in done) and not claim.slack:
            check = fact("order", True, f"{check.where}: by comparison")
        yield check


def _state(where: str, n: int, i: int) -> str:
    return where if n == 1 else f"{where}, state {i}"


# Conditions on the region between the curves.


def _region_checks(
    claim: CorridorClaim, f: Expression, i: int, search: Search, where: str
) -> Iterator[Check]:
    at = _state(where, len(claim.states), i)
    if is_total(f):
        yield fact("domain", True, at)
    else:
        yield _everywhere(claim, f, search, "domain", lambda u: _is_regular(f, u), at)
    for j, name in enumerate(claim.states):
        if j != i and name in variables(f):
            yield _everywhere(
                claim, f, search, "quasi-monotone", _partial(f, name), f"{at}, derivative by {name}"
            )


def _is_regular(f: Expression, u: Mapping[str, Arb]) -> Arb:
    """1; raises Undefined where a function in f may not be analytic (order 1 asks for it)."""
    evaluate(f, {name: variable(value, 1) for name, value in u.items()}, 1)
    return Arb(1)


def _partial(f: Expression, name: str) -> Callable[[Mapping[str, Arb]], Arb]:
    return lambda u: evaluate(
        f, {other: variable(value, 1, int(other == name)) for other, value in u.items()}, 1
    )[1]


def _everywhere(
    claim: CorridorClaim,
    f: Expression,
    search: Search,
    name: str,
    test: Callable[[Mapping[str, Arb]], Arb],
    where: str,
) -> Check:
    """test >= 0 at every point of the corridor, by bisection in t and in s, u_j = (1 - s_j) v_j + s_j w_j, s in [0, 1]."""
    involved = [j for j, u in enumerate(claim.states) if u in variables(f)]
    whole = (Fraction(0), Fraction(1))
    todo = [(p, p.start, p.end, (whole,) * len(involved), 0) for p in search.pieces]
    low: Arb | None = None
    count = 0
    while todo:
        search.tick()
        piece, start, end, shares, depth = todo.pop()
        count += 1
        search.effort.boxes += 1
        search.effort.depth = max(search.effort.depth, depth)

        value = _tested(test, _region(claim, involved, piece, start, end, shares))
        if value is not None and value >= 0:
            low = value if low is None or lower_float(value) < lower_float(low) else low
            continue
        middle = middle_of(start, end)
        centre = [((p + q) / 2,) * 2 for p, q in shares]
        point = _tested(test, _region(claim, involved, piece, middle, middle, centre))
        at = f"{where}, t = {number_text(middle, nearest=True)}"
        if point is None:
            return undecided(name, at)
        if not point >= 0:
            return fact(name, False, at) if name == "domain" else nonnegative(name, point, at)
        if count >= MAX_BOXES or depth >= MAX_DEPTH:
            return undecided(name, at)
        axis = depth % (1 + len(involved))
        for side in (0, 1):
            if axis == 0:
                part = ((start, middle), (middle, end))[side]
                todo.append((piece, *part, shares, depth + 1))
            else:
                p, q = shares[axis - 1]
                half = ((p, (p + q) / 2), ((p + q) / 2, q))[side]
                todo.append((piece, start, end, (*shares[: axis - 1], half, *shares[axis:]), depth + 1))
    return fact(name, True, where) if low is None or name == "domain" else nonnegative(name, low, where)


def _region(
    claim: CorridorClaim,
    involved: Sequence[int],
    piece: Piece,
    start: Fraction,
    end: Fraction,
    shares: Sequence[tuple[Fraction, Fraction]],
) -> dict[str, Arb]:
    """Balls of t and of each involved state over a box: u is affine in s, so between its values at the ends of s."""
    found = {TIME: hull(ball(start), ball(end))}
    for j, share in zip(involved, shares, strict=True):
        v, w = (values_on(piece.curves[k], start, end) for k in (j, len(claim.states) + j))
        found[claim.states[j]] = hull(
            *(v if s == 0 else w if s == 1 else ball(1 - s) * v + ball(s) * w for s in share)
        )
    return found


def _tested(test: Callable[[Mapping[str, Arb]], Arb], u: Mapping[str, Arb]) -> Arb | None:
    """The test's value, -1 where f is certainly undefined; None where neither is decided."""
    try:
        value = test(u)
    except Undefined as problem:
        return Arb(-1) if problem.certain else None
    return value if value.is_finite() else None
