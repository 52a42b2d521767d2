"""Stability claims: the tree's leaves by tag and by margin, level sets, and trajectories that are simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.plot import canvas, floats
from tlcheck.plot.canvas import Axes, Handle, Line2D, Panel, Patch, Rectangle, plain, short
from tlcheck.plot.plane import Plane, edges, plane_of
from tlcheck.trusted.arith.arb import PRECISION, working_precision
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.science.stability_claim import WORK, Stability
from tlcheck.trusted.science.stability_conditions import Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import (
    CORE,
    DECREASE,
    EMPTY,
    INSIDE,
    OUTSIDE,
    PIECEWISE,
    leaves_of,
)

Floats = NDArray[np.float64]
MAX_JUDGED: Final = 3000
"""Leaves that are judged here, in balls: five milliseconds each; those by pieces and of large networks count as more."""
USUAL: Final = 12_000
"""Weights times entries of a jet: up to these a leaf takes no longer."""
SAMPLES: Final = 3
"""Points of a leaf in each direction, where they are too many to be judged; EDGE from its faces, relative to it."""
EDGE: Final = 0.02
CHUNK: Final = 2048
"""Leaves sampled at a time, to keep memory small."""
GRID: Final = 240
LINE: Final = 800
RAYS: Final = 10
START: Final = 0.97
"""Trajectories begin where V is this share of the level."""
STEPS: Final = 4000
STILL: Final = 2e-4
"""A trajectory ends with a step shorter than this, relative to the region."""
STRIDE: Final = 0.004
"""Longest step of a simulation, relative to the region."""
NAMES: Final = {
    OUTSIDE: ("V > level", "#eeeeee"), DECREASE: ("V falls", "#9ecae1"), INSIDE: ("V(x⁺) ≤ inner level", "#c7e9c0"),
    PIECEWISE: ("V falls, by pieces", "#dadaeb"), CORE: ("core lemma", "#fdd0a2"), EMPTY: ("empty", "#ffffff"),
}  # fmt: skip
CONTINUOUS: Final = {DECREASE: "V′ < 0", INSIDE: "V < inner level"}
LEVEL: Final[dict[str, Any]] = {"color": "black", "linewidth": 1.5}
INNER: Final[dict[str, Any]] = {"color": "black", "linewidth": 1.2, "linestyle": "--"}
PATH: Final[dict[str, Any]] = {"color": "#6a3d9a", "linewidth": 0.9}


@dataclass(frozen=True, eq=False)
class _Drawn:
    claim: Stability
    plane: Plane

    @property
    def of(self) -> Conditions:
        return self.claim.conditions

    @cached_property
    def leaves(self) -> list[tuple[Box, str]]:
        """Those that meet the plane and are not empty."""
        found = [(box, tag) for box, tag in leaves_of(self.claim.tree, self.of.region) if tag != EMPTY]
        met = self.plane.meeting(*edges([box for box, _ in found]))
        return [leaf for leaf, meets in zip(found, met, strict=True) if meets]

    @cached_property
    def tags(self) -> NDArray[np.str_]:
        return np.array([tag for _, tag in self.leaves])

    @cached_property
    def v(self) -> floats.Field:
        return floats.candidate(self.of.candidate)

    @cached_property
    def f(self) -> floats.Field:
        return floats.loop(self.of.loop)

    @cached_property
    def judged(self) -> bool:
        n, loop, v = len(self.of.region), self.of.loop, self.of.candidate.network
        networks = [block.network for block in loop.blocks] + ([] if v is None else [v])
        weights = sum(len(s.bias) * s.inputs for network in networks for s in network.layers)
        share = max(1.0, weights * (1 + n + n * (n + 1) // 2) / USUAL)
        return share * sum(WORK.get(tag, 1) for tag in self.tags.tolist()) <= MAX_JUDGED

    @cached_property
    def margins(self) -> Floats:
        """Of each leaf on which V falls or lands: how much it does at least; -inf where something of a leaf is not
        established; NaN for other leaves."""
        if self.judged:
            with working_precision(PRECISION):
                judge = Judge(self.of)
                return np.array([_margin(list(judge.leaf(*leaf)), leaf[1]) for leaf in self.leaves])
        low, high = edges([box for box, _ in self.leaves])
        chunks = [slice(k, k + CHUNK) for k in range(0, len(low), CHUNK)]
        return np.concatenate([self._sampled(low[c], high[c], self.tags[c]) for c in chunks])

    def _sampled(self, low: Floats, high: Floats, tags: NDArray[np.str_]) -> Floats:
        """The same from points of each leaf: the least; only V outside of the level, V's fall and landing."""
        n = len(self.plane.axes)
        shares = np.stack(np.meshgrid(*[np.linspace(EDGE, 1 - EDGE, SAMPLES)] * n), -1).reshape(-1, n)
        points = np.repeat(((low + high) / 2)[:, None, :], len(shares), axis=1)
        axes = list(self.plane.axes)
        points[:, :, axes] = low[:, None, axes] + shares * (high - low)[:, None, axes]
        x = points.reshape(-1, low.shape[1]).T
        v, (falls, lands) = self.v(x), self.slacks(x)
        either = np.maximum(falls, lands) if self.of.inner is not None else falls
        slack = {
            DECREASE: falls, INSIDE: lands, CORE: np.full_like(v, np.nan),
            PIECEWISE: np.where(v > float(self.of.level), inf, either),
            OUTSIDE: np.where(v > float(self.of.level), np.nan, -inf),
        }  # fmt: skip
        ours = np.repeat(tags, len(shares))
        each = np.select([ours == tag for tag in slack], list(slack.values()), -inf).reshape(len(low), -1)
        return np.where(np.isneginf(each).any(axis=1), -inf, each.min(axis=1))

    def slacks(self, x: Floats) -> tuple[Floats, Floats]:
        """About how much V falls, and how far it lands (or is) below the inner level."""
        v, inner = self.v(x), float(self.of.low_level)
        if self.of.loop.discrete:
            after = self.v(self.f(x))
            return float(1 - self.of.decay) * v - after, inner - after
        return -self.rate(x), inner - v

    def rate(self, x: Floats) -> Floats:
        """About V' along F, by a central difference."""
        f = self.f(x)
        h = 1e-6 * float((self.plane.high - self.plane.low).max()) / np.maximum(np.abs(f).max(axis=0), 1e-300)
        found: Floats = (self.v(x + h * f) - self.v(x - h * f)) / (2 * h)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        how = (
            "Margins are computed here by the rules that verify leaves, in ball arithmetic."
            if self.judged
            else "The leaves take too long to judge for a picture: margins are sampled in float64."
        )
        return how, "Level sets and trajectories are simulated in float64."

    @property
    def how(self) -> str:
        return (
            "Arb, lower bound"
            if self.judged
            else f"least of {SAMPLES ** len(self.plane.axes)} samples, float64"
        )

    @property
    def falls(self) -> str:
        """What a margin is."""
        c = self.of
        what = "(1 − k) V(x) − V(x⁺)" if c.loop.discrete else "−V′"
        lands = "inner level − V(x⁺)" if c.loop.discrete else "inner level − V"
        if self.judged and Judge(c).logit:
            what, lands = "−(logit V)′", "logit(inner level) − logit V"
        return (
            f"{what}, or {lands}"
            if np.isin(self.tags, (INSIDE, PIECEWISE)).any() and c.inner is not None
            else what
        )

    def label(self, tag: str) -> str:
        name = NAMES[tag][0] if self.of.loop.discrete else CONTINUOUS.get(tag, NAMES[tag][0])
        return f"{name} ({int((self.tags == tag).sum())})"

    @property
    def said(self) -> str:
        c = self.of
        inner = f", inner level {short(float(c.low_level), 6)}" if c.inner is not None else ""
        decay = f", k = {short(float(c.decay))}" if c.decay else ""
        return f"{c.statement}, level {short(float(c.level), 6)}{inner}{decay}"

    def paths(self) -> list[Floats]:
        """Simulated from points on rays from e in the plane, (n, steps)."""
        centre, size = self.plane.at, self.plane.high - self.plane.low
        turns = 2 * np.pi * (np.arange(RAYS) + 0.5) / RAYS
        ways = np.zeros((len(turns), len(centre)))
        ways[:, self.plane.axes[0]] = np.cos(turns)
        ways[:, self.plane.axes[1]] = np.sin(turns)
        reach = np.linspace(0.0, 1.0, 500)[1:]
        starts = []
        for way in ways * size:
            points = centre[:, None] + way[:, None] * reach
            good = (self.v(points) <= START * float(self.of.level)) & self._inside(points)
            good = np.logical_and.accumulate(good)
            if good.any():
                starts.append(points[:, good.nonzero()[0][-1]])
        return [path[:, ~np.isnan(path).any(axis=0)] for path in self._simulated(starts, size)]

    def _inside(self, x: Floats) -> NDArray[np.bool_]:
        low, high = self.plane.low[:, None], self.plane.high[:, None]
        return np.asarray(((x >= low) & (x <= high)).all(axis=0))

    def _simulated(self, starts: Sequence[Floats], size: Floats) -> list[Floats]:
        """From each start (n, steps), NaN after it has left the region or come to rest."""
        if not starts:
            return []
        x, discrete = np.stack(starts, 1), self.of.loop.discrete
        found = [x]
        slowest = self._speed(x, size) * 1e-2
        for _ in range(STEPS // 10 if discrete else STEPS):
            stride = STRIDE / np.maximum(np.maximum(self._speed(x, size), slowest), 1e-300)
            after = self.f(x) if discrete else floats.step(self.f, x, stride)
            after[:, ~(np.isfinite(after).all(axis=0) & self._inside(after))] = np.nan
            found.append(after)
            moves = np.abs((after - x) / size[:, None]).max(axis=0) >= STILL
            x = np.where(moves, after, np.nan)
            if not moves.any():
                break
        return list(np.stack(found, 2).swapaxes(0, 1))

    def _speed(self, x: Floats, size: Floats) -> Floats:
        return np.asarray(np.abs(self.f(x) / size[:, None]).max(axis=0))


def _margin(checks: Sequence[Check], tag: str) -> float:
    if not all(check.holds for check in checks):
        return -inf
    if tag in (OUTSIDE, CORE):
        return float("nan")
    lows = [
        c.low for c in checks if c.name.startswith("V") and "boundary" not in c.name and c.low is not None
    ]
    return min(lows, default=float("nan"))


def panels(claim: Stability, axes: tuple[str, ...] = ()) -> list[Panel]:
    """Two: the leaves by tag, and by margin. Raises InvalidInput."""
    c = claim.conditions
    plane = plane_of(
        c.loop.states, c.region, range(len(c.region)), [float(q) for q in c.candidate.centre], axes
    )
    drawn = _Drawn(claim, plane)
    with np.errstate(all="ignore"):
        _ = drawn.margins
    pictures = (_line, _line_margins) if len(c.region) == 1 else (_tags, _margins)
    return [Panel(partial(_quiet, picture, drawn), drawn.notes) for picture in pictures]


def _quiet(picture: Callable[[Axes, _Drawn], None], drawn: _Drawn, axes: Axes) -> None:
    with np.errstate(all="ignore"):
        picture(axes, drawn)


def _tags(axes: Axes, drawn: _Drawn) -> None:
    low, high = _ends(drawn)
    canvas.cells(
        axes, low, high, [NAMES[tag][1] for tag in drawn.tags.tolist()], edgecolors=(0.4, 0.4, 0.4, 0.5)
    )
    handles: list[Handle] = [
        Patch(facecolor=NAMES[tag][1], edgecolor="grey", label=drawn.label(tag))
        for tag in NAMES
        if (drawn.tags == tag).any()
    ]
    handles += _over(axes, drawn)
    paths = drawn.paths()
    i, j = drawn.plane.axes
    for path in paths:
        style = PATH | ({"marker": ".", "markersize": 3.5} if drawn.of.loop.discrete else {})
        axes.plot(path[i], path[j], zorder=4, **style)
        axes.plot(path[i, :1], path[j, :1], "o", markersize=3.5, color=PATH["color"], zorder=4)
    if paths:
        projected = ", projected" if drawn.plane.held else ""
        handles.append(
            Line2D([], [], marker="o", markersize=3.5, label=f"trajectories, simulated{projected}", **PATH)
        )
    title = f"leaves by what is claimed of them{drawn.plane.held}\n{drawn.said}"
    canvas.frame(axes, drawn.plane.labels, title, *drawn.plane.ends)
    canvas.legend(axes, handles)


def _margins(axes: Axes, drawn: _Drawn) -> None:
    low, high = _ends(drawn)
    shown = ~np.isnan(drawn.margins)
    canvas.cells(axes, low[~shown], high[~shown], [NAMES[tag][1] for tag in drawn.tags[~shown].tolist()])
    handles: list[Handle] = []
    if shown.any():
        handles += canvas.valued_cells(
            axes,
            low[shown],
            high[shown],
            drawn.margins[shown],
            f"{drawn.falls} ({drawn.how})",
            "not established here",
        )
    least = drawn.margins[shown & np.isfinite(drawn.margins)]
    worst = (
        f", least {'' if drawn.judged else 'sampled '}{short(float(least.min()), 3)}" if least.size else ""
    )
    canvas.frame(axes, drawn.plane.labels, f"margin of each leaf{drawn.plane.held}{worst}", *drawn.plane.ends)
    canvas.legend(axes, [*handles, *_over(axes, drawn)])


def _ends(drawn: _Drawn) -> tuple[Floats, Floats]:
    low, high = edges([box for box, _ in drawn.leaves])
    return low[:, list(drawn.plane.axes)], high[:, list(drawn.plane.axes)]


def _over(axes: Axes, drawn: _Drawn) -> list[Handle]:
    """Level sets, core, equilibrium, points against the claim."""
    c = drawn.of
    x, y, points = drawn.plane.grid(GRID)
    v = drawn.v(points.T).reshape(GRID, GRID)
    handles: list[Handle] = []
    levels = [(f"V = level {short(float(c.level), 6)}", float(c.level), LEVEL)]
    if c.inner is not None:
        levels.append((f"V = inner level {short(float(c.inner), 6)}", float(c.inner), INNER))
    for label, level, style in levels:
        if np.nanmin(v) < level < np.nanmax(v):
            axes.contour(
                x, y, v, [level], colors=style["color"], linewidths=style["linewidth"],
                linestyles=style.get("linestyle", "-"), zorder=3,
            )  # fmt: skip
            handles.append(Line2D([], [], label=label, **style))
    i, j = drawn.plane.axes
    if c.core is not None:
        (a, b), (p, q) = ([float(end) for end in c.core[k]] for k in (i, j))
        axes.add_patch(
            Rectangle((a, p), b - a, q - p, fill=False, edgecolor="#e6550d", linewidth=1.3, zorder=3)
        )
        handles.append(Patch(fill=False, edgecolor="#e6550d", label="core"))
    if c.statement == "asymptotically stable":
        e = drawn.plane.at
        axes.plot([e[i]], [e[j]], "+", color="black", markersize=9, zorder=5)
        handles.append(
            Line2D([], [], marker="+", color="black", linestyle="none", label=f"equilibrium {_at(e)}")
        )
    return [*handles, *_against(axes, drawn, [(float(p[i]), float(p[j])) for p in drawn.claim.points])]


def _against(axes: Axes, drawn: _Drawn, places: Sequence[tuple[float, float]]) -> list[Line2D]:
    if not places:
        return []
    points = [np.array([float(q) for q in p]) for p in drawn.claim.points]
    at = f" {_at(points[0])}" if len(points) == 1 else f"s ({len(points)})"
    style: dict[str, Any] = {
        "marker": "X", "color": canvas.BAD, "markeredgecolor": "white", "linestyle": "none", "markersize": 9,
        "label": f"point{at} given against the claim{', projected' if drawn.plane.held else ''}",
    }  # fmt: skip
    (mark,) = axes.plot(*np.array(places).T, zorder=6, clip_on=False, **style)
    return [mark]


def _at(point: Floats) -> str:
    return plain(f"({', '.join(short(float(x)) for x in point)})")


# One state.


def _line(axes: Axes, drawn: _Drawn) -> None:
    """V over the state; the leaves by tag below it."""
    c = drawn.of
    x, points = drawn.plane.line(LINE)
    v = drawn.v(points.T)
    axes.plot(x, v, color="#08306b", label="V, sampled (float64)")
    axes.axhline(float(c.level), label=f"level {short(float(c.level), 6)}", **LEVEL)
    if c.inner is not None:
        axes.axhline(float(c.inner), label=f"inner level {short(float(c.inner), 6)}", **INNER)
    low, high = edges([box for box, _ in drawn.leaves])
    top = max(1.5 * float(c.level), float(np.nanmin(v)) + 1e-300)
    axes.set_ylim(min(0.0, float(np.nanmin(v))), min(top, float(np.nanmax(v)) * 1.05))
    for tag in NAMES:
        for n, k in enumerate(np.flatnonzero(drawn.tags == tag)):
            label = "_" if n else drawn.label(tag)
            axes.axvspan(
                low[k, 0],
                high[k, 0],
                facecolor=NAMES[tag][1],
                edgecolor="grey",
                linewidth=0.3,
                zorder=0,
                label=label,
            )
    if c.core is not None:
        axes.axvspan(*map(float, c.core[0]), fill=False, edgecolor="#e6550d", label="core")
    if drawn.claim.points:
        found = np.array([float(p[0]) for p in drawn.claim.points])
        _against(axes, drawn, list(zip(found.tolist(), drawn.v(found[None, :]).tolist(), strict=True)))
    canvas.frame(
        axes,
        (drawn.plane.names[0], "V"),
        f"leaves by what is claimed of them\n{drawn.said}",
        *_limits(drawn, axes),
    )
    canvas.legend(axes)


def _line_margins(axes: Axes, drawn: _Drawn) -> None:
    """The margin of each leaf as steps, and what it bounds from below, sampled."""
    x, points = drawn.plane.line(LINE)
    low, high = edges([box for box, _ in drawn.leaves])
    order = np.argsort(low[:, 0], kind="stable")
    tags = drawn.tags[order[np.searchsorted(low[order, 0], x, "right") - 1]]
    falls, lands = drawn.slacks(points.T)
    sampled = np.where(
        drawn.v(points.T) <= float(drawn.of.level), np.where(tags == INSIDE, lands, falls), np.nan
    )
    axes.plot(x, sampled, color="#08306b", label="sampled where V ≤ level (float64)")
    shown = np.isfinite(drawn.margins)
    if shown.any():
        label = f"each leaf ({drawn.how})"
        axes.hlines(
            drawn.margins[shown], low[shown, 0], high[shown, 0], color="#238b45", linewidth=2.5, label=label
        )
    for n, k in enumerate(np.flatnonzero(np.isneginf(drawn.margins))):
        label = "_" if n else "not established here"
        axes.axvspan(
            low[k, 0], high[k, 0], facecolor=canvas.BAD, alpha=0.25, linewidth=0, zorder=0, label=label
        )
    axes.axhline(0.0, color="black", linewidth=0.8, zorder=0)
    what = plain(drawn.falls)
    canvas.frame(axes, (drawn.plane.names[0], what), "margin of each leaf", *_limits(drawn, axes))
    canvas.legend(axes)


def _limits(drawn: _Drawn, axes: Axes) -> tuple[Floats, Floats]:
    low, high = axes.get_ylim()
    return np.array([drawn.plane.low[0], low]), np.array([drawn.plane.high[0], high])
