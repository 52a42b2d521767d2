"""ODE corridors: the two curves, numerical solutions between them, and how much room each inequality has over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.plot import canvas, floats
from tlcheck.plot.canvas import Axes, Panel, plain, short
from tlcheck.trusted.arith.arb import PRECISION, Arb, ball, working_precision
from tlcheck.trusted.calculus.affine_pieces import TooManyPieces
from tlcheck.trusted.calculus.series import Undefined
from tlcheck.trusted.science.corridor import CorridorClaim, Segment
from tlcheck.trusted.science.curves import TIME, Piece, together
from tlcheck.trusted.science.residuals import Effort, Inequality, Search

Floats = NDArray[np.float64]
POINTS: Final = 300
"""On all segments together, at least; a segment has MIN_POINTS."""
MIN_POINTS: Final = 40
INTERVALS: Final = 48
"""Of time, on all segments together; a segment has MIN_INTERVALS."""
MIN_INTERVALS: Final = 4
MAX_WORK: Final = 400
"""Intervals times inequalities: each takes some milliseconds, at worst a tenth of a second."""
MAX_BOXES: Final = 100
"""Of one interval and inequality; it takes no more than some milliseconds each."""
STEPS: Final = 2000
BEYOND: Final = 0.5
"""How far a solution that leaves the corridor is shown, relative to the corridor."""
COLOURS: Final = ("#1f77b4", "#d95f02")
REFERENCE: Final = "#444444"


class _Enough(Exception):
    """More boxes than a picture is worth."""


class _Limit:
    """Counts the boxes of one interval. Raises _Enough."""

    def __init__(self) -> None:
        self.left = MAX_BOXES

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Enough


@dataclass(frozen=True)
class _Room:
    """Of one inequality on one interval of time: the least residual, enclosed; None where it was not bounded."""

    start: float
    end: float
    low: float | None


@dataclass(frozen=True, eq=False)
class _Drawn:
    claim: CorridorClaim
    states: tuple[int, ...]

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.claim.segments[0].start), float(self.claim.segments[-1].end)

    @cached_property
    def pieces(self) -> list[list[Piece]]:
        return [together((*s.lower, *s.upper), s.start, s.end) for s in self.claim.segments]

    @cached_property
    def curves(self) -> list[tuple[Floats, Floats]]:
        """For each segment (times, values (2 n, times)), at the middles of balls."""
        count = max(MIN_POINTS, POINTS // len(self.claim.segments))
        found = []
        for segment, pieces in zip(self.claim.segments, self.pieces, strict=True):
            even = {
                segment.start + (segment.end - segment.start) * Fraction(k, count) for k in range(count + 1)
            }
            times = sorted(even | {end for piece in pieces[:POINTS] for end in (piece.start, piece.end)})
            values, k = [], 0
            for t in times:
                while t > pieces[k].end:
                    k += 1
                values.append([_value(curve, t) for curve in pieces[k].curves])
            found.append((np.array([float(t) for t in times]), np.array(values).T))
        return found

    @property
    def inequalities(self) -> Iterator[tuple[str, int, Inequality]]:
        """(name, state, residual)."""
        n = len(self.claim.states)
        for i in self.states:
            yield "lower: f(t, v) − v′", i, Inequality(self.claim.states, self.claim.rhs[i], 0, i, -1)
            yield "upper: w′ − f(t, w)", i, Inequality(self.claim.states, self.claim.rhs[i], n, i, 1)

    @cached_property
    def rooms(self) -> dict[tuple[str, int], list[_Room]]:
        """For each inequality, over intervals of time that cover the segments; nothing where that is much work."""
        count = max(MIN_INTERVALS, INTERVALS // len(self.claim.segments))
        if count * len(self.claim.segments) * 2 * len(self.states) > MAX_WORK:
            return {}
        return {
            (name, i): [
                self._room(residual, segment, pieces, Fraction(k, count), Fraction(k + 1, count))
                for segment, pieces in zip(self.claim.segments, self.pieces, strict=True)
                for k in range(count)
            ]
            for name, i, residual in self.inequalities
        }

    def _room(
        self, residual: Inequality, segment: Segment, pieces: list[Piece], first: Fraction, last: Fraction
    ) -> _Room:
        length = segment.end - segment.start
        a, b = segment.start + first * length, segment.start + last * length
        within = [
            Piece(max(a, p.start), min(b, p.end), p.curves, p.exact)
            for p in pieces
            if p.start < b and p.end > a
        ]
        try:
            check = Search(within, self.claim.slack, "", Effort(), _Limit()).check("", residual, "")
        except _Enough:
            return _Room(float(a), float(b), None)
        return _Room(float(a), float(b), 0.0 if check.low is None and check.holds else check.low)

    @cached_property
    def tightest(self) -> tuple[str, int, _Room] | None:
        found = [
            (name, i, room)
            for (name, i), rooms in self.rooms.items()
            for room in rooms
            if room.low is not None
        ]
        return min(found, key=lambda item: item[2].low or 0.0, default=None)

    @cached_property
    def solutions(self) -> list[tuple[Floats, Floats]]:
        """(times, states) from both ends of the first initial box, by Runge-Kutta steps."""
        first = np.array([[float(low), float(high)] for low, high in self.claim.segments[0].initial])
        times = np.linspace(*self.ends, STEPS + 1)
        h = float(times[1] - times[0])

        def field(x: Floats) -> Floats:
            named = dict(zip((*self.claim.states, TIME), x, strict=True))
            rates = [floats.value(f, named) for f in self.claim.rhs]
            return np.array([*rates, np.ones_like(x[-1])])

        corners = first if np.any(first[:, 0] != first[:, 1]) else first[:, :1]
        x = np.vstack([corners, np.full((1, corners.shape[1]), times[0])])
        path = [x]
        for _ in range(STEPS):
            x = floats.step(field, x, h)
            path.append(x)
        return [(times, corner[:, :-1].T) for corner in np.array(path).transpose(2, 0, 1)]


def _value(curve: object, t: Fraction) -> float:
    try:
        value: Arb = curve([ball(t)])[0]  # type: ignore[operator]
    except Undefined:
        return float("nan")
    return float(value.mid()) if value.is_finite() else float("nan")


def panels(claim: CorridorClaim, axes: tuple[str, ...] = ()) -> list[Panel]:
    """For each state (of those named, or the first two) the corridor and the room of its inequalities. Raises InvalidInput."""
    if not set(axes) <= set(claim.states):
        raise InvalidInput(
            "TLC101",
            "no such states",
            field="--axes",
            expected=" or ".join(claim.states),
            got=ascii(",".join(axes)),
        )
    states = tuple(claim.states.index(name) for name in axes) if axes else tuple(range(len(claim.states)))[:2]
    drawn = _Drawn(claim, states)
    try:
        with working_precision(PRECISION), np.errstate(all="ignore"):
            _ = drawn.curves, drawn.rooms, drawn.solutions
    except TooManyPieces:
        raise InvalidInput("TLC401", "its curves have too many pieces to draw") from None
    notes = ["Curves and solutions are drawn in float64; solutions are numerical (Runge-Kutta, order 4)."]
    notes.append(
        "Room: lower bounds in ball arithmetic on intervals of time."
        if drawn.rooms
        else "Room of the inequalities: too many intervals to bound here."
    )
    found = []
    for i in states:
        found.append(Panel(partial(_corridor, drawn=drawn, i=i), tuple(notes)))
        if drawn.rooms:
            found.append(Panel(partial(_rooms, drawn=drawn, i=i), tuple(notes)))
    return found


def _corridor(axes: Axes, drawn: _Drawn, i: int) -> None:
    claim, n = drawn.claim, len(drawn.claim.states)
    for k, (times, values) in enumerate(drawn.curves):
        v, w = values[i], values[n + i]
        hidden = "_" if k else ""
        axes.fill_between(times, v, w, color="#c6dbef", linewidth=0, label=f"{hidden}corridor")
        axes.plot(times, v, color=COLOURS[0], linewidth=1.2, label=f"{hidden}lower v")
        axes.plot(times, w, color=COLOURS[1], linewidth=1.2, label=f"{hidden}upper w")
    low, high = axes.get_ylim()
    every = np.concatenate([states[i] for _, states in drawn.solutions])
    beyond = BEYOND * (high - low)
    for k, (times, states) in enumerate(drawn.solutions):
        label = (
            "_"
            if k
            else "numerical solution"
            + ("s, both ends of the initial box" if len(drawn.solutions) > 1 else "")
        )
        axes.plot(times, states[i], ":", color=REFERENCE, linewidth=1.5, label=label)
    low = min(low, max(float(np.nanmin(every, initial=low)), low - beyond))
    high = max(high, min(float(np.nanmax(every, initial=high)), high + beyond))
    axes.set_ylim(low, high)
    _joints(axes, claim)
    _tightest(axes, drawn, i)
    name = plain(claim.states[i], 30)
    forever = f", then for ever within its ends at t = {short(drawn.ends[1])}" if claim.forever else ""
    segments = f"{len(claim.segments)} segment{'s' * (len(claim.segments) > 1)}"
    canvas.frame(axes, (TIME, name), f"corridor of {name}, {segments}{forever}", *_limits(drawn, axes))
    canvas.legend(axes)


def _rooms(axes: Axes, drawn: _Drawn, i: int) -> None:
    every = [room.low for rooms in drawn.rooms.values() for room in rooms if room.low is not None]
    for colour, (name, j) in zip(COLOURS * len(drawn.rooms), drawn.rooms, strict=False):
        if j != i:
            continue
        rooms = drawn.rooms[name, j]
        low = np.array([np.nan if room.low is None else room.low for room in rooms])
        axes.stairs(
            low, [*(room.start for room in rooms), rooms[-1].end], baseline=None, color=colour, label=name
        )
        missing = [room for room in rooms if room.low is None]
        for k, room in enumerate(missing):
            axes.axvspan(
                room.start,
                room.end,
                color=canvas.BAD,
                alpha=0.25,
                label="_" if k else f"{name}: no bound found",
            )
    if every and min(every) > 0:
        axes.set_yscale("log")
    else:
        axes.axhline(0.0, color="black", linewidth=0.8, zorder=0)
    _joints(axes, drawn.claim)
    _tightest(axes, drawn, i)
    slack = f" + slack {short(float(drawn.claim.slack))}" if drawn.claim.slack else ""
    axes.set(xlabel=TIME, ylabel=f"least on the interval (Arb, lower bound){slack}")
    axes.set_xlim(*drawn.ends)
    axes.set_title(f"room of the inequalities for {plain(drawn.claim.states[i], 30)}")
    canvas.legend(axes)


def _joints(axes: Axes, claim: CorridorClaim) -> None:
    for segment in claim.segments[1:]:
        axes.axvline(float(segment.start), color="#999999", linewidth=0.7, linestyle="-.", zorder=0)


def _tightest(axes: Axes, drawn: _Drawn, i: int) -> None:
    """The interval with the least room of all."""
    if drawn.tightest is None or drawn.tightest[1] != i:
        return
    name, _, room = drawn.tightest
    label = f"least room: {short(room.low or 0.0, 3)} ({name.partition(':')[0]})"
    axes.axvspan(room.start, room.end, color="#fee391", zorder=0, label=label)


def _limits(drawn: _Drawn, axes: Axes) -> tuple[Floats, Floats]:
    low, high = axes.get_ylim()
    return np.array([drawn.ends[0], low]), np.array([drawn.ends[1], high])
