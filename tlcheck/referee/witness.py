"""The ruling on one published witness: independent facts, each with its margin, and what follows from them.

- ``real``: the decimals of the file, exactly, in a region of the query, and its constraints as Arb enclosures there.
- ``deployed``: the float32 execution at the point rounded to float32; region and constraints compared as rationals.
- ``tolerance``: the real fact with every bound on an input moved out by TOLERANCE.
- ``official``: the competition's rule of 2026 as read from its script: bounds compared in float32.
- ``repaired``: the point moved into its region exactly, where it is outside by at most TOLERANCE, and ruled anew.

The ruling follows ``real`` (and its repair); float32 facts explain it and never change it. A margin is the least
slack over the constraints of the best disjunct, rounded down: the fact needs it nonnegative (positive if strict).
Every "holds" of exact arithmetic is a verdict of ``trusted.decide.decide_sat``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.prover.refute import ruled
from tlcheck.prover.regions import MAX_REPAIRS, TOLERANCE, Point, Regions, clipped, double
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.onnx import load_whole, read_model
from tlcheck.readers.vnnlib.read import read_named_query
from tlcheck.readers.vnnlib.witness import MAX_WITNESS_BYTES, Names, Witness, read_witness
from tlcheck.runtime.ort import ExecutionFailed, Session, devices, make_session
from tlcheck.trusted.arith.arb import Arb, ball, floor_float, lower_float, upper_float, working_precision
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import SatOutcome
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.query import Disjunct, LinearConstraint
from tlcheck.trusted.verdict import Verdict

RULINGS: Final = (
    "holds", "holds-repaired", "tolerance-only", "fails", "empty", "malformed", "wrong-shape", "unsupported",
)  # fmt: skip
PRECISIONS: Final = (128, 256, 1024)
"""Bits, one after the other while an enclosure straddles its bound (a margin of exactly 0 needs many)."""


@dataclass(frozen=True)
class Fact:
    """``holds`` None: not decided, or not asked; ``details`` are the row's other keys."""

    holds: bool | None = None
    margin: float | None = None
    details: dict[str, object] = field(default_factory=dict)

    margin_upper: float | None = None

    def row(self) -> dict[str, object]:
        enclosed = {} if self.margin_upper is None else {"margin_upper": self.margin_upper}
        return {"holds": self.holds, "margin": self.margin, **enclosed, **self.details}


NOTHING: Final = Fact()


@dataclass(frozen=True)
class Ruling:
    """``code`` and ``reason`` explain ``ruling``, one of RULINGS."""

    ruling: str
    code: str
    reason: str
    format: str = ""
    real: Fact = NOTHING
    deployed: Fact = NOTHING
    tolerance: Fact = NOTHING
    official: Fact = NOTHING
    repaired: Fact = NOTHING
    produced: dict[str, object] = field(default_factory=dict)

    def row(self) -> dict[str, object]:
        """The JSON row, without the names of the files; ``settled``: what the instance is, by this evidence."""
        facts = {
            name: getattr(self, name).row()
            for name in ("real", "deployed", "tolerance", "official", "repaired")
        }
        settled = "sat" if self.real.holds or self.repaired.holds else None
        head = {
            "ruling": self.ruling,
            "settled": settled,
            "code": self.code,
            "reason": self.reason,
            "format": self.format,
        }
        return {**head, **facts, "produced": self.produced}


class Model:
    """A network ready for many witnesses: as exact graph where every operator has its rule, and as sessions."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput when the file cannot be read at all."""
        whole = load_whole(path)
        self.content = whole.content
        self.identity = whole.identity
        self.error: InvalidInput | None = None
        self.evaluator: Evaluator | None = None
        try:
            self.evaluator = Evaluator(read_model(self.content, file=str(path)))
        except InvalidInput as error:
            self.error = error

    @cached_property
    def sessions(self) -> dict[str, Session | str]:
        """By device: a session, or why there is none."""
        result: dict[str, Session | str] = {}
        for device in devices():
            try:
                result[device] = make_session(self.content, device=device)
            except ExecutionFailed as error:
                result[device] = str(error)
        return result


def load_regions(path: Path, model: Model) -> Regions:
    """The property of a model. Raises InvalidInput."""
    content = read_bytes(path, limit=MAX_PROPERTY_BYTES)
    graph = None if model.evaluator is None else model.evaluator.graph
    query, found = read_named_query(content, graph, file=str(path))
    return Regions(query, sha256_hex(content), Names.of(found, graph))


def rule_file(model: Model, regions: Regions, path: Path) -> Ruling:
    """The ruling on a witness file; what is wrong with the file is a ruling too."""
    try:
        content = read_bytes(path, limit=MAX_WITNESS_BYTES)
    except InvalidInput as error:
        return unreadable(error)
    return rule_bytes(model, regions, content, str(path))


def rule_bytes(model: Model, regions: Regions, content: bytes, file: str) -> Ruling:
    """The ruling on the content of a witness file, unpacked."""
    try:
        witness = read_witness(content, regions.query.n_inputs, regions.names, file=file)
    except InvalidInput as error:
        return unreadable(error)
    return rule(model, regions, witness)


def rule(model: Model, regions: Regions, witness: Witness | None) -> Ruling:
    """The ruling on a witness of the right size, or on a file without one."""
    if witness is None:
        return Ruling(
            "empty", "TLC101", "the file holds no point", official=Fact(False, None, {"result": "NO_CE"})
        )
    executed = _Executed(model, regions, witness)
    official = executed.official()
    if model.evaluator is None:
        error = model.error
        code, reason = (error.code, error.line()) if error is not None else ("TLC202", "unsupported model")
        facts = {"official": official, "deployed": executed.deployed()}
        return Ruling("unsupported", code, reason, witness.format, **facts, produced=executed.produced(()))
    exact = _Exact(model.evaluator, regions)
    near = regions.near(witness.inputs, TOLERANCE)
    real, tolerance, outcome = exact.facts(witness.inputs, near)
    repaired = NOTHING if real.holds is not False else exact.repaired(witness.inputs, near)
    ruling, code, reason = _conclusion(real, tolerance, repaired, outcome)
    deployed = executed.deployed(exact, real)
    return Ruling(
        ruling,
        code,
        reason,
        witness.format,
        real,
        deployed,
        tolerance,
        official,
        repaired,
        executed.produced(outcome.outputs),
    )


def _conclusion(real: Fact, tolerance: Fact, repaired: Fact, outcome: SatOutcome) -> tuple[str, str, str]:
    """(ruling, code, reason) from the exact facts, strongest first."""
    if real.holds:
        return (
            "holds",
            "TLC002",
            "the point is inside the region and every constraint holds, evaluated exactly",
        )
    away = tolerance.details["input_violation_decimal"]
    if repaired.holds:
        return "holds-repaired", "TLC011", f"outside its region by {away}; moved into it exactly, it holds"
    if real.holds is None or (tolerance.holds is None and tolerance.details["within_tolerance"]):
        return "unsupported", outcome.code, outcome.message
    if repaired.details.get("verdict") == Verdict.UNPROVEN.value:
        return "unsupported", "TLC012", "undecided at the point moved into its region"
    if tolerance.holds:
        return (
            "tolerance-only",
            "TLC011",
            f"outside its region by {away}; holds only with the input tolerance",
        )
    if real.details["in_region"]:
        return "fails", "TLC011", "inside its region, but a constraint fails, evaluated exactly"
    if tolerance.details["within_tolerance"]:
        return "fails", "TLC011", f"outside its region by {away}, and a constraint fails, evaluated exactly"
    return "fails", "TLC011", f"outside every region by at least {away}, more than the tolerance"


def unreadable(error: InvalidInput) -> Ruling:
    """The ruling on a file that holds no readable point."""
    if error.code == "TLC402":
        return Ruling("empty", error.code, error.line(), official=Fact(False, None, {"result": "NO_CE"}))
    if error.code == "TLC303":
        official = Fact(False, None, {"result": "WRONG_SHAPE"})
        return Ruling("wrong-shape", error.code, error.line(), official=official)
    return Ruling("malformed", error.code, error.line(), official=Fact(False, None, {"result": "MALFORMED"}))


# Exact arithmetic.


@dataclass(frozen=True, eq=False)
class _Exact:
    evaluator: Evaluator
    regions: Regions

    @property
    def graph(self) -> Graph:
        return self.evaluator.graph

    def decide(self, point: Point, boxes: list[int], wider: Fraction = Fraction(0)) -> SatOutcome:
        """The verdict on these boxes' disjuncts, at the first precision that decides."""
        claim = SatClaim(self.graph, self.regions.part(boxes, wider), point)
        return ruled(claim, self.evaluator, PRECISIONS)

    def facts(self, point: Point, near: dict[int, Fraction]) -> tuple[Fact, Fact, SatOutcome]:
        """(real, tolerance, the outcome they rest on); ``near`` as ``Regions.near`` gives it."""
        away = min(near.values(), default=Fraction(0))
        inside = [k for k, d in near.items() if d == 0]
        reached = [k for k, d in near.items() if d <= TOLERANCE]
        strict = self.decide(point, inside) if inside else None
        if strict is not None and (strict.verdict is Verdict.CERTIFIED or self._decides(inside, reached)):
            outcome = strict
        else:  # where no box is in reach, the condition on the outputs is still measured, on the nearest
            outcome = self.decide(point, reached or list(near), max(TOLERANCE, away))
        tolerated = _holds(outcome.verdict) if reached else False
        holds = _holds(strict.verdict) if strict is not None else False
        measured = inside or reached or list(near)
        low, high = margins(_members(self.regions, measured), point, (strict or outcome).outputs)
        verdict = "outside" if strict is None else strict.verdict.value
        real = Fact(holds, low, {"in_region": bool(inside), "verdict": verdict}, high)
        wide, _ = margins(_members(self.regions, reached or list(near)), point, outcome.outputs)
        tolerance = Fact(
            tolerated,
            wide,
            {
                "within_tolerance": bool(reached),
                "input_violation": float_up(away),
                "input_violation_decimal": decimal_up(away),
            },
        )
        return real, tolerance, strict or outcome

    def _decides(self, inside: list[int], reached: list[int]) -> bool:
        """What the tolerance adds is nothing: no other box in reach, no constraint on inputs alone."""
        return inside == reached and all(
            c.outputs for d in _members(self.regions, inside) for c in d.constraints
        )

    def repaired(self, point: Point, near: dict[int, Fraction]) -> Fact:
        """The point moved into a box it is outside of by at most the tolerance; NOTHING where there is none."""
        last = NOTHING
        for k, away in list(near.items())[:MAX_REPAIRS]:
            if not 0 < away <= TOLERANCE:
                continue
            moved = clipped(self.regions.boxes[k], point)
            outcome = self.decide(moved, [k])
            low, high = margins(self.regions.members[k], moved, outcome.outputs)
            details: dict[str, object] = {"moved": float_up(away), "verdict": outcome.verdict.value}
            last = Fact(_holds(outcome.verdict), low, details, high)
            if last.holds:
                break
        return last

    def margin_at(self, point: Point, boxes: list[int]) -> tuple[float | None, float | None]:
        """Exact margins at any point, whether in a region or not; no verdict."""
        graph = self.evaluator.graph
        slices = Network(graph).input_slices
        with working_precision(PRECISIONS[0]):
            try:
                outputs = self.evaluator.evaluate([point[slices[node]] for node in graph.inputs]).outputs
            except Undecided:
                return None, None
        return margins(_members(self.regions, boxes), point, outputs)


def _holds(verdict: Verdict) -> bool | None:
    """Proved, disproved, or neither."""
    return True if verdict is Verdict.CERTIFIED else False if verdict is Verdict.REFUTED else None


def margins(
    disjuncts: Iterable[Disjunct], point: Point, outputs: Sequence[Arb]
) -> tuple[float | None, float | None]:
    """The best disjunct's least slack, between two doubles; None where nothing constrains it or it is not finite."""
    if not outputs:  # an operation was undecided
        return None, None
    low = high = -inf
    with working_precision(PRECISIONS[-1]):
        for d in disjuncts:
            slacks = [_slack(c, point, outputs) for c in d.constraints if c.outputs]
            low = max(low, min((lower_float(s) for s in slacks), default=inf))
            high = max(high, min((upper_float(s) for s in slacks), default=inf))
    return (low if isfinite(low) else None), (high if isfinite(high) else None)


def _slack(c: LinearConstraint, point: Point, outputs: Sequence[Arb]) -> Arb:
    slack = ball(c.bound - sum((q * point[i] for i, q in c.inputs), Fraction(0)))
    for i, q in c.outputs:
        slack = slack - ball(q) * outputs[i]
    return slack


def _members(regions: Regions, boxes: list[int]) -> list[Disjunct]:
    return [d for k in boxes for d in regions.members[k]]


# The float32 execution.


class _Executed:
    """A witness rounded to float32 and run on every device there is."""

    def __init__(self, model: Model, regions: Regions, witness: Witness) -> None:
        self.regions, self.witness = regions, witness
        with np.errstate(over="ignore"):
            self.x = np.array([double(q) for q in witness.inputs], np.float64).astype(np.float32)
        self.finite = bool(np.isfinite(self.x).all())
        self.runs = {device: self._run(s) for device, s in model.sessions.items()} if self.finite else {}

    @cached_property
    def point(self) -> Point:
        return tuple(Fraction(v) for v in self.x.astype(np.float64).tolist())

    @cached_property
    def near(self) -> dict[int, Fraction]:
        return self.regions.near(self.point, TOLERANCE)

    def _run(self, session: Session | str) -> NDArray[np.float64] | str:
        if isinstance(session, str):
            return session
        try:
            outputs = session.run(self.x)
        except (ExecutionFailed, ValueError) as error:
            return str(error)
        if outputs.size != self.regions.query.n_outputs:
            return f"{outputs.size} outputs, the property speaks of {self.regions.query.n_outputs}"
        return outputs if bool(np.isfinite(outputs).all()) else "an output is not finite"

    def deployed(self, exact: _Exact | None = None, real: Fact = NOTHING) -> Fact:
        """The CPU's fact; those of other devices in its details; the exact margin at the same float32 point."""
        if not self.finite:
            return Fact(None, None, {"reason": "an input is beyond float32"})
        away = min(self.near.values(), default=Fraction(0))
        inside = [k for k, d in self.near.items() if d == 0]
        measured = inside or list(self.near)
        details: dict[str, object] = {"in_region": bool(inside), "input_violation": float_up(away)}
        facts = {device: self._fact(run, inside, measured) for device, run in self.runs.items()}
        main = facts.pop("cpu")
        details.update(main.details)
        if exact is not None:
            same = self.point == self.witness.inputs
            low, high = (real.margin, real.margin_upper) if same else exact.margin_at(self.point, measured)
            details.update(real_margin=low, real_margin_upper=high, flipped=_flipped(main.margin, low, high))
        details.update({device: fact.row() for device, fact in facts.items()})
        return Fact(main.holds, main.margin, details)

    def _fact(self, run: NDArray[np.float64] | str, inside: list[int], measured: list[int]) -> Fact:
        if isinstance(run, str):
            return Fact(None, None, {"reason": run})
        outputs = [Fraction(v) for v in run.tolist()]
        holds, _ = _compared(_members(self.regions, inside), self.point, outputs)
        _, slack = _compared(_members(self.regions, measured), self.point, outputs)
        return Fact(holds, None if slack is None else floor_float(slack))

    def official(self) -> Fact:
        """The rule of 2026: the tool's outputs ignored; bounds compared in float32, strictly, then with tolerance."""
        run = self.runs.get("cpu", "an input is beyond float32")
        if isinstance(run, str):
            return Fact(None, None, {"result": "UNSUPPORTED", "reason": run})
        outputs = [Fraction(v) for v in run.tolist()]
        strict = self.regions.within_float32(self.x, 0.0)
        holds, slack = _compared(_members(self.regions, strict), self.point, outputs)
        if holds:
            return Fact(True, _down(slack), {"result": "CORRECT"})
        wide = self.regions.within_float32(self.x, float(TOLERANCE))
        tolerated, slack = _compared(_members(self.regions, wide), self.point, outputs, only_outputs=True)
        result = "CORRECT_UP_TO_TOLERANCE" if tolerated else "SPEC_NOT_VIOLATED"
        return Fact(tolerated, _down(slack), {"result": result})

    def produced(self, exact: Sequence[Arb]) -> dict[str, object]:
        """The file's outputs against both executions: the largest relative difference. Never evidence."""
        given = self.witness.outputs
        result: dict[str, object] = {"count": len(given), "expected": self.regions.query.n_outputs}
        run = self.runs.get("cpu")
        if len(given) == self.regions.query.n_outputs and None not in given:
            claimed = np.array([double(q) for q in given if q is not None])
            if isinstance(run, np.ndarray):
                result["relative_difference_deployed"] = _difference(claimed, run)
            if exact and all(y.is_finite() for y in exact):
                result["relative_difference_real"] = _difference(
                    claimed, np.array([float(y.mid()) for y in exact])
                )
        return result


def _compared(
    disjuncts: Iterable[Disjunct], point: Point, outputs: list[Fraction], *, only_outputs: bool = False
) -> tuple[bool, Fraction | None]:
    """(some disjunct's constraints hold, the best disjunct's least slack), exactly; the boxes are not looked at."""
    holds = False
    best: Fraction | None = None
    for d in disjuncts:
        slacks = [
            (c.bound - _dot(c.inputs, point) - _dot(c.outputs, outputs), c)
            for c in d.constraints
            if c.outputs or not only_outputs
        ]
        holds = holds or all(s > 0 or (s == 0 and not c.strict) for s, c in slacks)
        least = min((s for s, c in slacks if c.outputs), default=None)
        best = least if best is None or (least is not None and least > best) else best
    return holds, best


def _dot(terms: tuple[tuple[int, Fraction], ...], values: Sequence[Fraction]) -> Fraction:
    return sum((q * values[i] for i, q in terms), Fraction(0))


def _flipped(deployed: float | None, low: float | None, high: float | None) -> bool | None:
    """Rounding alone moved the condition on the outputs across its bound; None where a sign is not known."""
    if deployed is None or low is None or high is None or low < 0 <= high:
        return None
    return (deployed >= 0) != (low >= 0)


def _difference(claimed: NDArray[np.float64], found: NDArray[np.float64]) -> float | None:
    """max |claimed - found| / max(|found|, 1e-12)"""
    with np.errstate(all="ignore"):
        worst = float((np.abs(claimed - found) / np.maximum(np.abs(found), 1e-12)).max(initial=0.0))
    return worst if isfinite(worst) else None


# Numbers, rounded one way.


def float_up(q: Fraction) -> float:
    """The least double >= q."""
    return 0.0 - floor_float(-q)


def decimal_up(q: Fraction, digits: int = 17) -> str:
    """A decimal >= q >= 0 of at most ``digits`` significant digits."""
    if q == 0:
        return "0"
    exponent = len(str(q.numerator)) - len(str(q.denominator)) - digits
    scaled = q / Fraction(10) ** exponent
    n = -(-scaled.numerator // scaled.denominator)
    while n >= 10**digits:
        n, exponent = -(-n // 10), exponent + 1
    text = str(n).rstrip("0")
    exponent += len(str(n)) - len(text)
    if -25 <= exponent <= 0 and len(text) + exponent > -8:
        padded = text.rjust(1 - exponent, "0")
        return padded if exponent == 0 else f"{padded[:exponent]}.{padded[exponent:]}"
    fraction = f".{text[1:]}" if text[1:] else ""
    return f"{text[0]}{fraction}e{exponent + len(text) - 1}"


def _down(q: Fraction | None) -> float | None:
    return None if q is None else floor_float(q)
