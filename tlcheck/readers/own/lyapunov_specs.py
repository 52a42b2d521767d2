"""What a published Lyapunov query says once it is proved unsat: a label, computed from the query.

Such queries come with verifiers for neural controllers. They are weaker than the word Lyapunov suggests: a tolerance, a
hole around the equilibrium, one box of many. A label states what unsat means and what it does not; it never says that a
loop is stable (claims that do are ``tlcheck.stability/1``). Two shapes, recognised exactly, anything else is None:

* one step: Y_0 <= -tolerance, or a coordinate of the next state Y_2.. outside a box, where Y_1 <= level. By convention
  Y_0 = (1 - kappa) V(x) - V(x+), Y_1 = V(x), Y_2.. = x+ (not checked; ``measured_kappa`` compares).
* a band: inner <= V <= outer and V' >= 0, one output each.

``read_covers`` says, exactly, which part of their hull the boxes of a list of queries leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from pathlib import Path
from typing import Final

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.strict_json import decode
from tlcheck.readers.vnnlib.read import load_property
from tlcheck.trusted.arith.arb import lower_float, upper_float, working_precision
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.base import Undecided
from tlcheck.trusted.query import InputBox, LinearConstraint, Query

MOST_PIECES: Final = 64
"""Uncovered pieces that are listed."""
MOST_INSTANCES: Final = 10_000
MOST_SUBTRACTIONS: Final = 1_000_000
"""Steps of a cover check: some seconds."""
SAMPLES: Final = (Fraction(1, 2), Fraction(1, 3), Fraction(3, 4), Fraction(1, 5), Fraction(6, 7))
"""Points of ``measured_kappa``: shares of the way from corner to corner of the box."""
NARROW: Final = 1e-7
"""Width of an enclosure of kappa that counts as one number."""
SHOWN: Final = 8
PRECISION: Final = 128

NOT_STABILITY: Final = "not stability, and not invariance of a level set"


@dataclass(frozen=True)
class StepQuery:
    """Unsat: for x in ``box`` with V(x) <= ``level``, F(x) > -``tolerance``, and x+ lies strictly inside ``next_box``."""

    box: InputBox
    level: Fraction
    tolerance: Fraction
    next_box: InputBox | None

    def says(self, kappa: Fraction | None = None) -> list[str]:
        """Sentences: what unsat states, and how weak that is. ``kappa`` in F = (1 - kappa) V(x) - V(x+), if known."""
        return [
            f"one step from every x in the box with V(x) <= {_text(self.level)}: F(x) > {_text(-self.tolerance)}"
            + (" and x+ lies in the next box" if self.next_box else ""),
            _fall(self.tolerance, kappa),
            _next_state(self.box, self.next_box),
            _origin(self.box),
            NOT_STABILITY,
        ]


@dataclass(frozen=True)
class BandQuery:
    """Unsat: V' < 0 for x in ``box`` where inner <= V(x) <= outer."""

    box: InputBox
    inner: Fraction
    outer: Fraction

    def says(self, kappa: Fraction | None = None) -> list[str]:
        """Sentences, as for StepQuery. There is no kappa in continuous time."""
        return [
            f"V falls along the flow in the box where {_text(self.inner)} <= V(x) <= {_text(self.outer)}",
            f"nothing where V(x) < {_text(self.inner)}, the equilibrium included",
            f"not that trajectories stay in the box: V > {_text(self.outer)} on its boundary is not asserted",
            NOT_STABILITY,
        ]


def recognise(query: Query) -> StepQuery | BandQuery | None:
    """The Lyapunov query that ``query`` is, by its shape; None for any other."""
    boxes = {d.box for d in query.disjuncts}
    bounds = [[_bound(c) for c in d.constraints] for d in query.disjuncts]
    if len(boxes) != 1 or any(b is None for row in bounds for b in row):
        return None
    box = boxes.pop()
    if any(a > b for a, b in zip(box.lower, box.upper, strict=True)):
        return None
    rows = [[b for b in row if b is not None] for row in bounds]
    return _step(query, box, rows) or _band(query, box, rows)


Side = tuple[int, int, Fraction]
"""(output, sign, bound): sign * y <= bound."""


def _bound(c: LinearConstraint) -> Side | None:
    if c.inputs or c.strict or len(c.outputs) != 1 or abs(c.outputs[0][1]) != 1:
        return None
    return c.outputs[0][0], int(c.outputs[0][1]), c.bound


def _step(query: Query, box: InputBox, rows: Sequence[Sequence[Side]]) -> StepQuery | None:
    """Every disjunct: V <= level, and one violation; each violation once."""
    levels = {side for row in rows for side in row if side[:2] == (1, 1)}
    if len(levels) != 1 or any(len(row) != 2 or len(set(row) & levels) != 1 for row in rows):
        return None
    found: dict[tuple[int, int], Fraction] = {}
    for row in rows:
        ((output, sign, bound),) = set(row) - levels
        if (output, sign) in found:
            return None
        found[output, sign] = bound
    fall = found.pop((0, 1), None)
    n = query.n_inputs
    if fall is None or query.n_outputs not in (2, n + 2):
        return None
    level = levels.pop()[2]
    if not found:
        return StepQuery(box, level, -fall, None)
    if set(found) != set(product(range(2, n + 2), (1, -1))):
        return None
    lower, upper = (tuple(sign * found[j, sign] for j in range(2, n + 2)) for sign in (1, -1))
    if any(a >= b for a, b in zip(lower, upper, strict=True)):
        return None
    return StepQuery(box, level, -fall, InputBox(lower, upper))


def _band(query: Query, box: InputBox, rows: Sequence[Sequence[Side]]) -> BandQuery | None:
    """One disjunct: inner <= y_v, y_v <= outer, 0 <= y_d."""
    if query.n_outputs != 2 or len(rows) != 1 or len(rows[0]) != 3 or len(set(rows[0])) != 3:
        return None
    for v in (0, 1):
        ends = {sign: bound for j, sign, bound in rows[0] if j == v}
        if len(ends) == 2 and (1 - v, -1, Fraction(0)) in rows[0] and -ends[-1] <= ends[1]:
            return BandQuery(box, -ends[-1], ends[1])
    return None


# Sentences.


def _fall(tolerance: Fraction, kappa: Fraction | None) -> str:
    """V(x+) < (1 - kappa) V(x) + tolerance."""
    if kappa is not None and not 0 <= kappa <= 1:
        raise ValueError("kappa lies between 0 and 1")
    t = _text(tolerance)
    if tolerance <= 0:
        surplus = f" by more than {_text(-tolerance)}" if tolerance < 0 else ""
        return f"V falls{surplus} in that step, if F is at most V(x) - V(x+)"
    if kappa is None:
        return f"V may rise by up to {t} in a step, where kappa V(x) is less (kappa is not in the query)"
    if kappa == 0:
        return f"kappa = 0: V may rise by up to {t} in every step; no decrease is stated anywhere"
    level = _text(tolerance / kappa)
    return (
        f"kappa = {_text(kappa)}: V falls where V(x) >= {level}; elsewhere it may rise by up to {t} in a step"
    )


def _next_state(box: InputBox, next_box: InputBox | None) -> str:
    if next_box is None:
        return "the next state is not bounded: it may leave every region"
    ends = ", ".join(
        f"{_text(a)} < x{i} < {_text(b)}"
        for i, (a, b) in enumerate(islice(zip(next_box.lower, next_box.upper, strict=True), SHOWN))
    )
    return f"the next box, which may be larger than the region: {ends}" + (
        ", ..." if len(next_box.lower) > SHOWN else ""
    )


def _origin(box: InputBox) -> str:
    inside = all(a <= 0 <= b for a, b in zip(box.lower, box.upper, strict=True))
    if inside:
        return "one box; the origin is in it"
    return "one box; the origin is not in it, and nothing is stated there"


def _text(value: Fraction) -> str:
    """``value`` in the fewest digits of a double that denote it, else with '~'."""
    near = float(value)
    if Fraction(repr(near)) == value:
        return repr(near).removesuffix(".0")
    return f"~{near:.6g}"


# Kappa of a model.


def label(query: Query, graph: Graph | None = None) -> list[str] | None:
    """The sentences about ``query``, with the kappa of the model where it is known and has one; None for other queries."""
    found = recognise(query)
    if not isinstance(found, StepQuery) or graph is None:
        return None if found is None else found.says()
    ends = measured_kappa(graph, found)
    if ends is None:
        return found.says()
    if not (ends[1] - ends[0] < NARROW and ends[0] > -NARROW and ends[1] < 1 + NARROW):
        return [*found.says(), "Y_0 is no (1 - kappa) V(x) - V(x+) at sampled points: F is something else"]
    kappa = parse_decimal(f"{min(max((ends[0] + ends[1]) / 2, 0.0), 1.0):.7f}")
    return [*found.says(kappa), f"kappa was measured at {len(SAMPLES)} points, to 7 digits"]


def measured_kappa(graph: Graph, query: StepQuery) -> tuple[float, float] | None:
    """Enclosure of kappa = 1 - (F(x) + V(x+)) / V(x) over sampled x: narrow when Y_0, Y_1, Y_2.. are what they are
    taken for. None where the model does not give x+, or cannot be evaluated. Evidence, not a proof.
    """
    n = query.box.size
    if graph.n_inputs != n or graph.n_outputs != n + 2 or len(graph.inputs) != 1:
        return None
    evaluator = Evaluator(graph)
    lows, highs = [], []
    with working_precision(PRECISION):
        for k in range(len(SAMPLES)):
            x = [
                a + SAMPLES[(k + i) % len(SAMPLES)] * (b - a)
                for i, (a, b) in enumerate(zip(query.box.lower, query.box.upper, strict=True))
            ]
            try:
                now = evaluator.evaluate([x]).outputs
                after = evaluator.evaluate([list(now[2:])]).outputs
            except (Undecided, ValueError):
                return None
            kappa = 1 - (now[0] + after[1]) / now[1]
            lows.append(lower_float(kappa))
            highs.append(upper_float(kappa))
    return min(lows), max(highs)


def told(query: Query, graph: Graph) -> list[str]:
    """``label``, or nothing where the shape alone may be chance: a step whose outputs are not F, V and the next state."""
    found = recognise(query)
    if found is None or (isinstance(found, StepQuery) and query.n_outputs != query.n_inputs + 2):
        return []
    return label(query, graph) or []


# Lists of queries: do their boxes cover their hull?


@dataclass(frozen=True)
class Cover:
    """``queries``: by file. ``missing``: named but not there. ``left``: what the boxes leave of ``hull``: disjoint boxes
    without the faces that they share with what is covered; at most MOST_PIECES, ``more`` when there are others.
    ``left`` is None where the check was given up, or not begun: files are missing.
    """

    queries: dict[str, StepQuery]
    missing: tuple[str, ...]
    hull: InputBox | None
    left: tuple[InputBox, ...] | None
    more: bool

    def says(self, kappa: Fraction | None = None) -> list[str]:
        """Sentences about all instances together, for one level, tolerance and next box."""
        files = f"{len(self.queries)} of {len(self.queries) + len(self.missing)} instances are there"
        if self.hull is None or self.missing:
            return [f"{files}: nothing about their union", NOT_STABILITY]
        one = next(iter(self.queries.values()))
        if any(
            (q.level, q.tolerance, q.next_box) != (one.level, one.tolerance, one.next_box)
            for q in self.queries.values()
        ):
            return [f"{files}, with different levels, tolerances or next boxes", NOT_STABILITY]
        return [
            *one.says(kappa)[:2],
            _larger(self.hull, one.next_box),
            f"the {len(self.queries)} boxes together: {self._covered()}",
            NOT_STABILITY,
        ]

    def _covered(self) -> str:
        if self.left is None or self.hull is None:
            return "whether they cover their hull was not decided"
        if not self.left:
            return "all of their hull"
        if self.more or len(self.left) > 1:
            return f"{'more than ' if self.more else ''}{len(self.left)} pieces of their hull are not covered"
        (hole,) = self.left
        shares = [
            float((hole.upper[i] - hole.lower[i]) / (self.hull.upper[i] - self.hull.lower[i]))
            for i in range(hole.size)
        ]
        inside = all(a < 0 < b for a, b in zip(hole.lower, hole.upper, strict=True))
        about = "around the origin" if inside else "that does not hold the origin"
        return f"all of their hull but one open box {about}, {max(shares):.3g} of its sides; nothing is stated there"


def _larger(hull: InputBox, next_box: InputBox | None) -> str:
    """How far the next state may leave the hull."""
    if next_box is None:
        return "the next state is not bounded: it may leave every region"
    beyond = max(
        max(a - c, d - b)
        for a, b, c, d in zip(hull.lower, hull.upper, next_box.lower, next_box.upper, strict=True)
    )
    if beyond <= 0:
        return "the next state stays in the hull of the boxes"
    return f"the next state may leave the hull of the boxes by up to {_text(beyond)}"


def read_covers(table: Path) -> list[Cover]:
    """The StepQueries that an instances file names (the last field that ends in .vnnlib on each line), and what they
    cover: one Cover for each number of states, of all in the first when files are missing.

    Files are looked for at their path beside the table, then by name beside it; gzip or plain. Raises InvalidInput: as
    ``read_property``; TLC101 for a line without such a field, or a property of another shape; TLC401 too many lines.
    """
    groups: dict[int, dict[str, StepQuery]] = {}
    missing = []
    for name in _lines(table):
        path = _find(table.parent, name)
        if path is None:
            missing.append(name)
            continue
        query = recognise(load_property(path))
        if not isinstance(query, StepQuery):
            raise InvalidInput("TLC101", "not a Lyapunov query of one step", file=str(path))
        groups.setdefault(query.box.size, {})[name] = query
    if missing:
        every = {name: q for group in groups.values() for name, q in group.items()}
        return [Cover(every, tuple(missing), None, None, False)]
    return [_cover(group) for _, group in sorted(groups.items())]


def _cover(queries: dict[str, StepQuery]) -> Cover:
    boxes = [q.box for q in queries.values()]
    hull = InputBox(
        tuple(min(ends) for ends in zip(*(b.lower for b in boxes), strict=True)),
        tuple(max(ends) for ends in zip(*(b.upper for b in boxes), strict=True)),
    )
    try:
        left = tuple(islice(uncovered(hull, boxes), MOST_PIECES + 1))
    except TooManyPieces:
        return Cover(queries, (), hull, None, False)
    return Cover(queries, (), hull, left[:MOST_PIECES], len(left) > MOST_PIECES)


def _lines(table: Path) -> list[str]:
    found = []
    text = read_bytes(table, limit=MAX_MANIFEST_BYTES).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        names = [f.strip() for f in line.split(",") if f.strip().removesuffix(".gz").endswith(".vnnlib")]
        if not names:
            raise InvalidInput(
                "TLC101", "a line names no .vnnlib file", file=str(table), field=f"line {number}"
            )
        found.append(names[-1])
    if len(found) > MOST_INSTANCES:
        raise InvalidInput(
            "TLC401", "too many instances", file=str(table), expected=f"at most {MOST_INSTANCES}", got=str(len(found))
        )  # fmt: skip
    return found


def _find(folder: Path, name: str) -> Path | None:
    relative = Path(name)
    places = [Path(relative.name)]
    if not relative.is_absolute() and ".." not in relative.parts:
        places.insert(0, relative)
    for place in places:
        for candidate in (folder / place, folder / f"{place}.gz"):
            if candidate.is_file():
                return candidate
    return None


class TooManyPieces(Exception):
    """The cover check was given up."""


def uncovered(region: InputBox, boxes: Sequence[InputBox]) -> Iterator[InputBox]:
    """Disjoint pieces of the region outside every closed box, as their closures; none has an empty interior.

    What is left of a box when a closed box is taken away are half-open pieces, so there is a point outside all boxes
    if and only if a piece is yielded (the region itself must have an interior). Raises TooManyPieces.
    """
    stack = [(region, 0)]
    steps = 0
    while stack:
        piece, k = stack.pop()
        while k < len(boxes) and not _meets(piece, boxes[k]):
            k += 1
        if k == len(boxes):
            yield piece
            continue
        steps += 1
        if steps > MOST_SUBTRACTIONS:
            raise TooManyPieces
        stack += [(part, k + 1) for part in _without(piece, boxes[k])]


def _meets(a: InputBox, b: InputBox) -> bool:
    """Their interiors meet, as a product of open intervals."""
    return all(max(p, r) < min(q, s) for p, q, r, s in zip(a.lower, a.upper, b.lower, b.upper, strict=True))


def _without(piece: InputBox, box: InputBox) -> Iterator[InputBox]:
    """The piece outside the box, side by side along each coordinate."""
    lower, upper = list(piece.lower), list(piece.upper)
    for i in range(piece.size):
        if lower[i] < box.lower[i]:
            yield InputBox(tuple(lower), (*upper[:i], box.lower[i], *upper[i + 1 :]))
            lower[i] = box.lower[i]
        if box.upper[i] < upper[i]:
            yield InputBox((*lower[:i], box.upper[i], *lower[i + 1 :]), tuple(upper))
            upper[i] = box.upper[i]


# Two-stage specifications in JSON.


class TwoStage(Struct, frozen=True):
    """The fields that matter: a box, and the levels between which V is to fall, as decimals."""

    box: list[tuple[Raw, Raw]]
    c1: str
    c2: str


def read_two_stage(data: bytes, file: str) -> BandQuery:
    """The band that a two-stage specification (JSON) speaks of. Raises InvalidInput."""
    spec = decode(data, TwoStage, file)
    inner, outer = (
        parse_decimal(c, code="TLC101", field=name) for c, name in ((spec.c1, "c1"), (spec.c2, "c2"))
    )
    ends = [
        tuple(parse_decimal(bytes(end).decode(), code="TLC101", field="box") for end in pair)
        for pair in spec.box
    ]
    if not ends or any(a >= b for a, b in ends) or inner > outer:
        raise InvalidInput("TLC101", "an empty box or band", file=file)
    return BandQuery(InputBox(tuple(a for a, _ in ends), tuple(b for _, b in ends)), inner, outer)
