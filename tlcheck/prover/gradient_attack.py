"""Descent along the network's own gradient from many points at once, in float64: where a query may be satisfied.

From each start, ``STEPS`` steps against the gradient of how much the disjunct fails: by the signs of its momentum at first, by
the momentum itself later, in steps that shrink with the box. Where several constraints hold each other off, damped Gauss-Newton
steps on all that fail follow (Levenberg-Marquardt in a box). It believes nothing: whoever gets a point decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.attack import float_near
from tlcheck.prover.engine import Engine
from tlcheck.trusted.query import Disjunct, Query

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Over = Callable[[], bool]

STARTS: Final = 24
"""Points that each disjunct's descent starts from."""
STEPS: Final = 40
MOMENTUM: Final = 0.75
FIRST_STEP: Final = 0.5
"""Of half the box's width."""
SHRINK: Final = 0.92
MOST_POINTS: Final = 4096
"""Points of one batch, over all disjuncts; fewer where the network is large."""
MOST_NUMBERS: Final = 8_000_000
"""Values of the network that a batch holds at once (64 MB)."""
MOST_TOGETHER: Final = 16
"""Constraints of a disjunct, most, that Gauss-Newton steps solve together."""
SOLVED_STARTS: Final = 64
ROUNDS: Final = 4
NEARER: Final = 0.9
"""Of so many starts, a quarter of them near the best point so far."""
DAMPING: Final = (1e-4, 1e-3, 1e-3, 1e-2)
"""Relative to the trace; by point."""
ROOM: Final = 0.01
"""What is asked of a constraint beyond its bound, of how much the start fails; shrinks from step to step."""
MOST_FOUND: Final = 8
"""Points of one disjunct that seem to satisfy it, of one batch."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Constraints in floats: (Q, outputs), (Q, inputs), bounds (Q,) so that a row holds where it is at most 0."""

    outputs: Floats
    inputs: Floats
    bounds: Floats

    @staticmethod
    def of(disjunct: Disjunct, n_inputs: int, n_outputs: int) -> _Rows:
        count = len(disjunct.constraints)
        outputs, inputs = np.zeros((count, n_outputs)), np.zeros((count, n_inputs))
        for q, c in enumerate(disjunct.constraints):
            for row, pairs in ((outputs, c.outputs), (inputs, c.inputs)):
                for i, value in pairs:
                    row[q, i] = float_near(value)
        return _Rows(outputs, inputs, np.array([float_near(c.bound) for c in disjunct.constraints]))

    def excess(self, points: Floats, outputs: Floats) -> Floats:
        """(P, Q)."""
        return outputs @ self.outputs.T + points @ self.inputs.T - self.bounds


@dataclass(eq=False)
class GradientAttack:
    """On a query, by an engine in float64. ``closest``: per disjunct, the point where it failed least, and by how much."""

    engine: Engine
    query: Query
    seed: int = 0
    closest: dict[int, tuple[float, Floats]] = field(default_factory=dict)

    @cached_property
    def _random(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def at_once(self) -> int:
        values = sum(node.size for node in self.engine.nodes)
        return max(1, min(MOST_POINTS, MOST_NUMBERS // values))

    def points(
        self, disjuncts: Sequence[int], over: Over, starts: Sequence[Floats] = ()
    ) -> Iterator[tuple[int, Floats]]:
        """(disjunct, point) where it seems to hold; ``starts``: points to begin with beside random ones, the disjunct first that
        fails least at one of them."""
        for number in self._nearest(disjuncts, starts):
            if over():
                return
            disjunct = self.query.disjuncts[number]
            low, high = (
                np.array([float_near(q) for q in end]) for end in (disjunct.box.lower, disjunct.box.upper)
            )
            if not disjunct.constraints or not bool((low <= high).all()):
                continue
            rows = _Rows.of(disjunct, self.query.n_inputs, self.query.n_outputs)
            begun = self._begun(low, high, starts)
            for k in range(0, len(begun), self.at_once):
                for x in self._descended(number, rows, low, high, begun[k : k + self.at_once], over):
                    yield number, x
            if 1 < len(disjunct.constraints) <= MOST_TOGETHER and not over():
                yield from ((number, x) for x in self._rounds(number, rows, low, high, over))

    def _nearest(self, disjuncts: Sequence[int], starts: Sequence[Floats]) -> Sequence[int]:
        if not starts or len(disjuncts) < 2:
            return disjuncts
        points = np.array(starts)
        outputs = self.engine.outputs(self.engine.values(points))

        def failing(number: int) -> float:
            rows = _Rows.of(self.query.disjuncts[number], self.query.n_inputs, self.query.n_outputs)
            return float(
                np.nan_to_num(rows.excess(points, outputs), nan=np.inf).max(axis=1, initial=-np.inf).min()
            )

        return sorted(disjuncts, key=failing)

    def _begun(self, low: Floats, high: Floats, starts: Sequence[Floats]) -> Floats:
        """The given points, else the centre; corners; random points; (P, inputs) in the box."""
        given = [np.clip(x, low, high) for x in starts] or [low / 2 + high / 2]
        count = max(STARTS - len(given), STARTS // 3)
        share = self._random.random((count, low.size))
        share[: count // 4] = np.round(share[: count // 4])
        return np.concatenate([np.array(given), low * (1 - share) + high * share])

    def _descended(
        self, number: int, rows: _Rows, low: Floats, high: Floats, x: Floats, over: Over
    ) -> Iterator[Floats]:
        reach, momentum, found = high / 2 - low / 2, np.zeros_like(x), 0
        summed = np.arange(len(x)) % 2 == 1
        for step in range(STEPS + 1):
            values = self.engine.values(x)
            excess = rows.excess(x, self.engine.outputs(values))
            worst = np.nan_to_num(excess, nan=np.inf).max(axis=1)
            self._note(number, worst, x)
            for p in np.flatnonzero(worst <= 0)[: MOST_FOUND - found].tolist():
                found += 1
                yield x[p].copy()
            if found >= MOST_FOUND or step == STEPS or over():
                return
            pull = self._pull(rows, excess, summed, values)
            momentum = MOMENTUM * momentum + pull / (np.abs(pull).max(axis=1, keepdims=True) + 1e-30)
            direction = (
                np.sign(momentum)
                if step < STEPS // 2
                else momentum / (np.abs(momentum).max(axis=1, keepdims=True) + 1e-30)
            )
            x = np.clip(x - FIRST_STEP * SHRINK**step * reach * direction, low, high)

    def _pull(
        self, rows: _Rows, excess: Floats, summed: NDArray[np.bool_], values: dict[int, Floats]
    ) -> Floats:
        """The gradient of the worst row; of every row that fails where ``summed``."""
        chosen = np.zeros_like(excess)
        chosen[np.arange(len(excess)), np.nan_to_num(excess, nan=-np.inf).argmax(axis=1)] = 1
        failing = excess > 0
        sums = (summed & failing.any(axis=1)).reshape(-1, 1)
        chosen = np.where(sums, failing, chosen)
        found = self.engine.gradient(values, chosen @ rows.outputs) + chosen @ rows.inputs
        return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)

    def _rounds(self, number: int, rows: _Rows, low: Floats, high: Floats, over: Over) -> Iterator[Floats]:
        """As long as they come nearer."""
        for _ in range(ROUNDS):
            before = self.closest[number][0]
            yield from self._solved(number, rows, low, high, over)
            if over() or not 0 < self.closest[number][0] < NEARER * before:
                return

    def _solved(self, number: int, rows: _Rows, low: Floats, high: Floats, over: Over) -> Iterator[Floats]:
        """Gauss-Newton steps from random points; what fails, or nearly, is solved together."""
        count = min(SOLVED_STARTS, max(1, self.at_once // len(rows.bounds)))
        x = low + (high - low) * self._random.random((count, low.size))
        x[: count // 4] += 0.9 * (self.closest[number][1] - x[: count // 4])
        damping = np.array(DAMPING)[np.arange(count) % len(DAMPING)]
        for step in range(STEPS):
            values = self.engine.values(x)
            excess = np.nan_to_num(rows.excess(x, self.engine.outputs(values)), nan=np.inf)
            worst = excess.max(axis=1)
            self._note(number, worst, x)
            if step == 0:
                room = ROOM * np.clip(worst, 0, 1e300)
            yield from (x[p].copy() for p in np.flatnonzero(worst <= 0)[:MOST_FOUND].tolist())
            if over() or bool((worst <= 0).any()) or not bool(np.isfinite(excess).all()):
                return
            wanted = np.maximum(excess + (room * SHRINK ** (4 * step))[:, None], 0)
            slopes = self._slopes(rows, values) * (high / 2 - low / 2) * (wanted > 0)[:, :, None]
            x = _moved(x, low, high, slopes, wanted, damping)

    def _slopes(self, rows: _Rows, values: dict[int, Floats]) -> Floats:
        """The gradient of each row, (P, Q, inputs)."""
        count = len(next(iter(values.values())))
        each = [
            self.engine.gradient(values, np.repeat(row[None], count, axis=0)) + more
            for row, more in zip(rows.outputs, rows.inputs, strict=True)
        ]
        found: Floats = np.nan_to_num(np.stack(each, axis=1), nan=0.0, posinf=0.0, neginf=0.0)
        return found

    def _note(self, number: int, worst: Floats, x: Floats) -> None:
        p = int(worst.argmin())
        if number not in self.closest or worst[p] < self.closest[number][0]:
            self.closest[number] = float(worst[p]), x[p].copy()


def _moved(x: Floats, low: Floats, high: Floats, slopes: Floats, wanted: Floats, damping: Floats) -> Floats:
    """x after a Gauss-Newton step that leaves alone what stands at an end of the box and would be pushed out of it."""
    step = _least_squares(slopes, wanted, damping)
    stuck = ((x >= high) & (step < 0)) | ((x <= low) & (step > 0))
    step = _least_squares(np.where(stuck[:, None], 0.0, slopes), wanted, damping)
    return np.clip(x - (high / 2 - low / 2) * step, low, high)


def _least_squares(slopes: Floats, wanted: Floats, damping: Floats) -> Floats:
    """The damped least step s with slopes s = wanted, (P, inputs); slopes (P, Q, inputs), wanted (P, Q), damping (P,)."""
    gram = slopes @ slopes.transpose(0, 2, 1)
    size = damping * np.trace(gram, axis1=1, axis2=2) + 1e-30
    gram += size[:, None, None] * np.eye(gram.shape[1])
    step: Floats = (slopes.transpose(0, 2, 1) @ np.linalg.solve(gram, wanted[:, :, None]))[:, :, 0]
    return step
