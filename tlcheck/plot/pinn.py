"""PINN claims over a domain: the cells by margin or contribution, and the quantity itself on a grid or along a line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tlcheck.plot import canvas
from tlcheck.plot.canvas import Axes, Line2D, Panel, plain, short
from tlcheck.plot.plane import Plane, edges, plane_of
from tlcheck.prover.cell_cover import BATCH, examine_cells, values_at
from tlcheck.trusted.science.amounts import Amount
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.solution_error import SolutionErrorClaim
from tlcheck.trusted.taylor.space import Space

Floats = NDArray[np.float64]
MAX_ENCLOSED: Final = 25_000_000
"""Cells of an amount, times values in the network, times coefficients of a model, that are enclosed here: about ten seconds."""
MAX_SAMPLED: Final = 50_000_000
"""Points in cells, times values in the network, that are sampled: about ten seconds; else the cells' centres only."""
SAMPLES: Final = 3
"""Points of a cell in each direction."""
GRID: Final = 160
LINE: Final = 600

Claim = SupremumClaim | IntegralClaim | SolutionErrorClaim


@dataclass(frozen=True, eq=False)
class _Drawn:
    """An amount to draw. ``bound`` and ``witness`` where the claim has them for it."""

    amount: Amount
    plane: Plane
    bound: float | None = None
    witness: tuple[float, ...] | None = None
    least: float | None = None

    @property
    def name(self) -> str:
        return plain(self.amount.name, 30)

    @property
    def integrand(self) -> str:
        """What is plotted at points."""
        return plain(self.amount.quantity.squares, 90)

    @property
    def whole(self) -> bool:
        """Every cell is drawn."""
        return len(self.plane.axes) == len(self.amount.quantity.free)

    @cached_property
    def cells(self) -> tuple[Floats, Floats]:
        """Those in the picture."""
        low, high = edges(self.amount.cells)
        met = self.plane.meeting(low, high)
        return low[met], high[met]

    @property
    def work(self) -> int:
        """Cells times values in the network: not seconds, so that the same certificate gives the same picture."""
        return len(self.cells[0]) * sum(node.size for node in self.amount.quantity.network.graph.nodes)

    @cached_property
    def enclosed(self) -> bool:
        coefficients = Space(len(self.amount.quantity.free), self.amount.order).size
        return self.work * coefficients <= MAX_ENCLOSED

    @property
    def samples(self) -> int:
        """Points of a cell."""
        several: int = SAMPLES ** len(self.plane.axes)
        return several if self.work * several <= MAX_SAMPLED else 1

    @cached_property
    def ranges(self) -> tuple[Floats, Floats]:
        """(lower, upper) for each cell in the picture: of r for a supremum, of the mean for an integral."""
        low, high = self.cells
        a = self.amount
        if not self.enclosed:
            values = self._sampled(low, high)
            return (values.min(axis=1), values.max(axis=1)) if a.norm == "sup" else (values.mean(axis=1),) * 2
        found = [
            examine_cells(a.quantity, a.order, a.norm, low[k : k + BATCH], high[k : k + BATCH])
            for k in range(0, len(low), BATCH)
        ]
        if a.norm == "sup":
            return np.zeros(len(low)), np.concatenate([f.score for f in found])
        return np.concatenate([f.low for f in found]), np.concatenate([f.high for f in found])

    def _sampled(self, low: Floats, high: Floats) -> Floats:
        count = SAMPLES if self.samples > 1 else 1
        steps = (np.arange(count) + 0.5) / count
        shares = np.full((count ** len(self.plane.axes), low.shape[1]), 0.5)
        for k, i in enumerate(self.plane.axes):
            shares[:, i] = np.tile(np.repeat(steps, count**k), count ** (len(self.plane.axes) - 1 - k))
        points = low[:, None, :] + shares * (high - low)[:, None, :]
        return self.values(points.reshape(-1, low.shape[1])).reshape(len(low), -1)

    def values(self, points: Floats) -> Floats:
        """r, or its root for L1, at points; NaN where there is none."""
        found = values_at(self.amount.quantity, points)
        found = np.where(np.isfinite(found), found, np.nan)
        return np.sqrt(found) if self.amount.norm == "L1" else found

    @property
    def how(self) -> str:
        if self.enclosed:
            return "float64 Taylor models"
        return f"sampled, {self.samples} point{'s' * (self.samples > 1)} a cell"

    @property
    def notes(self) -> tuple[str, ...]:
        how = (
            "Cells are enclosed here by float64 Taylor models, not in the checker's ball arithmetic."
            if self.enclosed
            else f"The cells of {self.name} take too long to enclose for a picture: they are sampled."
        )
        return how, "Values at points are sampled in float64."

    @property
    def said(self) -> str:
        count = f"{len(self.amount.cells)} cells"
        what = {"sup": "r", "L2": "integral of r", "L1": "integral of the root of r"}[self.amount.norm]
        return count if self.bound is None else f"claimed: {what} ≤ {short(self.bound, 5)}, {count}"


def panels(claim: Claim, axes: tuple[str, ...] = ()) -> list[Panel]:
    """Two for an amount over two or more coordinates, one for less. Raises InvalidInput."""
    return [panel for drawn in _amounts(claim, axes) for panel in _panels(drawn)]


def _amounts(claim: Claim, axes: tuple[str, ...]) -> list[_Drawn]:
    if isinstance(claim, SolutionErrorClaim):
        found = [
            Amount(f"{claim.name}: {term.name}", term.quantity, term.norm, *claim.covers[term.name])
            for term in claim.theorem.terms
        ]
        return [_Drawn(a, _plane(a, None, axes if len(a.quantity.free) > 1 else ())) for a in found]
    witness = claim.witness if isinstance(claim, SupremumClaim) else None
    point = None if witness is None else tuple(map(float, witness))
    least = None if claim.at_least is None else float(claim.at_least)
    plane = _plane(claim.amount, point, axes if len(claim.quantity.free) > 1 else ())
    return [_Drawn(claim.amount, plane, float(claim.at_most), point, least)]


def _plane(amount: Amount, witness: tuple[float, ...] | None, axes: tuple[str, ...]) -> Plane:
    q = amount.quantity
    middle = [float((a + b) / 2) for a, b in q.domain]
    return plane_of(q.coordinates, q.domain, q.free, witness or middle, axes)


def _panels(drawn: _Drawn) -> list[Panel]:
    with threadpool_limits(1, "blas"):
        if not drawn.plane.axes:
            return [Panel(partial(_point, drawn=drawn), drawn.notes)]
        _ = drawn.ranges
        if len(drawn.plane.axes) == 1:
            return [Panel(partial(_curve, drawn=drawn), drawn.notes)]
        return [
            Panel(partial(_cells, drawn=drawn), drawn.notes),
            Panel(partial(_map, drawn=drawn), drawn.notes),
        ]


def _cells(axes: Axes, drawn: _Drawn) -> None:
    """The cells: margins for a supremum, contributions for an integral; values themselves where nothing is claimed."""
    low, high = (ends[:, list(drawn.plane.axes)] for ends in drawn.cells)
    _, top = drawn.ranges
    if drawn.amount.norm != "sup":
        free = list(drawn.amount.quantity.free)
        volume = np.prod((drawn.cells[1] - drawn.cells[0])[:, free], axis=1)
        share = volume * top
        label = f"contribution of each cell, {'upper end' if drawn.enclosed else 'about'} ({drawn.how})"
        handles = canvas.valued_cells(axes, low, high, share, label, "no finite enclosure", "cividis")
        sums = _sums(drawn, volume) if drawn.whole else f"the cells that meet the plane{drawn.plane.held}"
        title = f"{drawn.name}: {drawn.said}\n{sums}"
    elif drawn.bound is None:
        label = f"largest r on the cell ({drawn.how})"
        handles = canvas.valued_cells(axes, low, high, top, label, "no finite enclosure", "cividis")
        title = f"{drawn.name}: {drawn.said}{drawn.plane.held}"
    else:
        margin = (drawn.bound - top) / (drawn.bound or 1.0)
        label = f"(bound − largest r on the cell) / bound ({drawn.how})"
        handles = canvas.valued_cells(axes, low, high, margin, label, "not below the bound here")
        title = f"{drawn.name}: margin of each cell{drawn.plane.held}\n{drawn.said}"
    canvas.frame(axes, drawn.plane.labels, title, *drawn.plane.ends)
    canvas.legend(axes, [*handles, *_witness(axes, drawn)])


def _sums(drawn: _Drawn, volume: Floats) -> str:
    low, high = (short(float((volume * end).sum()), 5) for end in drawn.ranges)
    return f"sum over cells: {low} to {high}" if drawn.enclosed else f"sum over cells: about {high}"


def _witness(axes: Axes, drawn: _Drawn) -> list[Line2D]:
    if drawn.witness is None:
        return []
    x, y = (drawn.witness[i] for i in drawn.plane.axes)
    least = "" if drawn.least is None else f", claimed: r ≥ {short(drawn.least, 6)}"
    where = ", ".join(short(v) for v in drawn.witness)
    (mark,) = axes.plot(
        [x], [y], "*", markersize=13, color="#ff7f0e", markeredgecolor="white", markeredgewidth=0.9, zorder=5,
        clip_on=False, linestyle="none", label=f"witness ({where}){least}",
    )  # fmt: skip
    return [mark]


def _map(axes: Axes, drawn: _Drawn) -> None:
    _, _, points = drawn.plane.grid(GRID)
    with threadpool_limits(1, "blas"):
        values = drawn.values(points).reshape(GRID, GRID)
    label = (
        f"{'root of r' if drawn.amount.norm == 'L1' else 'r'}, sampled on a {GRID} × {GRID} grid (float64)"
    )
    canvas.image(axes, *drawn.plane.ends, values, label)
    title = f"{drawn.name}: r = {drawn.integrand}{drawn.plane.held}"
    canvas.frame(axes, drawn.plane.labels, title, *drawn.plane.ends)
    canvas.legend(axes, _witness(axes, drawn))


def _curve(axes: Axes, drawn: _Drawn) -> None:
    """One coordinate: the quantity, the cells' enclosures, the bound and the witness."""
    x, points = drawn.plane.line(LINE)
    (i,) = drawn.plane.axes
    low, high = (ends[:, i] for ends in drawn.cells)
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    bottom, top = (ends[order] for ends in drawn.ranges)
    integral = drawn.amount.norm != "sup"
    kind = "mean over each cell" if integral else "each cell"
    steps = np.append(low, high[-1])
    axes.stairs(
        np.where(np.isfinite(top), top, np.nan), steps, baseline=np.where(np.isfinite(bottom), bottom, 0.0), fill=True,
        facecolor="#9ecae1", edgecolor="#4292c6", linewidth=0.8, label=f"{kind} ({drawn.how})",
    )  # fmt: skip
    with threadpool_limits(1, "blas"):
        axes.plot(x, drawn.values(points), color="#08306b", linewidth=1.1, label="sampled (float64)")
    if drawn.bound is not None and not integral:
        label = f"bound {short(drawn.bound, 5)}"
        axes.axhline(drawn.bound, color=canvas.BAD, linewidth=1.0, linestyle="--", label=label)
    if drawn.witness is not None and drawn.least is not None:
        axes.plot(
            [drawn.witness[i]], [drawn.least], "*", markersize=11, color="#ff7f0e", markeredgecolor="white", zorder=5,
            linestyle="none", label=f"witness, claimed: r ≥ {short(drawn.least, 6)}", clip_on=False,
        )  # fmt: skip
    widths = drawn.cells[1][:, i] - drawn.cells[0][:, i]
    sums = f"\n{_sums(drawn, widths)}" if integral else ""
    name = "root of r" if drawn.amount.norm == "L1" else "r"
    axes.set(
        xlabel=plain(drawn.plane.labels[0]), ylabel=f"{name} = {plain(drawn.amount.quantity.squares, 45)}"
    )
    axes.set_xlim(float(low[0]), float(high[-1]))
    axes.set_ylim(bottom=0.0)
    axes.locator_params(nbins=6)
    axes.set_title(f"{drawn.name}{drawn.plane.held}\n{drawn.said}{sums}")
    canvas.legend(axes)


def _point(axes: Axes, drawn: _Drawn) -> None:
    """No coordinate is free: a number."""
    value = float(drawn.values(drawn.plane.at[None, :])[0])
    axes.axis("off")
    axes.set_title(f"{drawn.name}{drawn.plane.held}: {drawn.said}")
    axes.text(
        0.5, 0.5, f"r = {short(value, 6)} (float64)\n{drawn.integrand}", ha="center", va="center", wrap=True
    )
