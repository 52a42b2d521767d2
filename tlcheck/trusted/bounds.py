"""Bounds of every node over a set of domains: forward boxes, refined by backward passes with the evidence's slopes.

Nothing claimed is believed: boxes are recomputed node by node, in topological order, each from boxes already proved.
When this returns, ``Bounds.boxes[i]`` encloses node i's value at every point of the domains (of the deployed execution
too, when ``radii`` are kept).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.guidance import IntermediateSlopes, RegionGuidance
from tlcheck.trusted.intervals import image
from tlcheck.trusted.linear_bounds import Pass, Reach, descend
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess
from tlcheck.trusted.ops.structure import Input

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Found = tuple[Ints, Floats | None]
Apply = Callable[[Callable[[int], Found], Iterable[int]], Iterable[Found]]

ROW_ENTRIES = 1 << 19
"""Coefficients of one chunk of rows on the widest node: 4 MiB."""


@dataclass
class Bounds:
    """``boxes``: node -> enclosure, (1, n) or one row per domain. ``radii``: deployed rounding radii."""

    boxes: dict[int, Box] = field(default_factory=dict)
    radii: dict[int, Floats] = field(default_factory=dict)
    rows: int = 0
    _lines: dict[int, tuple[Box, Lines]] = field(default_factory=dict)

    def lines(self, activation: int, op: Elementwise, box: Box, guess: SlopeGuess) -> Lines:
        """Lines with slopes that every row shares, drawn once for a box."""
        known = self._lines.get(activation)
        if known is None or known[0] is not box:
            known = self._lines[activation] = (box, op.lines(box, guess))
        return known[1]

    def on(self, boxes: dict[int, Box]) -> Bounds:
        """The same radii and lines with other boxes (lines are used only for the boxes they were drawn on)."""
        return Bounds(boxes, self.radii, _lines=self._lines)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Where slopes come from, for the domains at hand.

    ``leaf(act)`` gives each domain's slopes (D, n) or None; ``guidance`` the shared and intermediate ones.
    """

    guidance: RegionGuidance
    leaf: Callable[[int], SlopeGuess | None]

    def shared(self, activation: int) -> SlopeGuess:
        own = self.leaf(activation)
        if own is not None:
            return own
        common = self.guidance.shared_slopes.get(activation)
        if common is None:
            return SlopeGuess()
        return SlopeGuess(_row(common.lower), _row(common.upper))


def _row(values: Floats | None) -> Floats | None:
    return None if values is None else values[None, :]


def filled(picked: Floats, columns: Ints, box: Box | None, n: int) -> Floats:
    """Slopes (D, n): ``picked`` (D, c) in these columns; elsewhere 1 where more of the box is above 0 than below, else 0."""
    default = np.zeros((1, n)) if box is None else (box.upper > -box.lower).astype(np.float64)
    rows = np.array(np.broadcast_to(default, (len(picked), n)))
    rows[:, columns] = picked
    return rows


@dataclass(frozen=True, eq=False)
class Enclosure:
    """The task: enclose all nodes for D domains whose inputs lie in ``inputs`` (node -> box)."""

    network: Network
    engine: Engine
    slopes: Slopes
    deployed: Profile | None = None
    expected: Callable[[int], NDArray[np.bool_] | None] = lambda target: None
    apply: Apply = map
    """``map``, or a pool's: chunks of rows are independent."""
    met: Callable[..., Box] = lambda i, boxes, box, radius: box
    """(node, boxes before it, its box, its radius) -> a box that holds its values too (``affine_forms.py``)."""

    def bounds(self, inputs: Mapping[int, Box], goal: Callable[[int, int], None] | None = None) -> Bounds:
        """Boxes of every needed node. ``goal(done, total)`` reports targets done."""
        result = Bounds()
        targets = set(self.network.targets)
        for i, node in enumerate(self.network.graph.nodes):
            if i not in self.network.needed:
                continue
            if isinstance(node.op, Input):
                result.boxes[i] = self.met(i, result.boxes, inputs[i], None)
                continue
            operands = tuple(result.boxes[j] for j in node.inputs)
            affine = self.network.affine[i]
            shapes = tuple(self.network.graph.nodes[j].shape for j in node.inputs)
            box = image(node.op, affine, operands, self.engine, shapes)
            if self.deployed is not None:
                from tlcheck.trusted.rounding import rounding_radius  # only float32 executions have radii

                radius = rounding_radius(node.op, affine, operands, shapes, box, self.engine, self.deployed)
                if radius is not None:
                    result.radii[i] = radius
                    box = box.widened(radius)
            box = self.met(i, result.boxes, box, result.radii.get(i))
            if i in targets:
                box = self._refined(i, box, result)
                if goal is not None:
                    goal(1 + sum(1 for t in self.network.targets if t < i), len(targets))
            result.boxes[i] = box
        return result

    def _refined(self, target: int, box: Box, known: Bounds) -> Box:
        """Tighten ``box`` by backward passes for the values where tighter bounds can matter."""
        nodes = self.network.graph.nodes
        if self._one_affine_step(target):
            return box  # a backward pass over one affine map of the inputs gives the same bounds
        open_ = np.zeros(box.lower.shape, bool)
        for consumer in self.network.consumers[target]:
            op = nodes[consumer].op
            open_ |= ~(op.stable(box) if isinstance(op, Elementwise) else np.zeros(box.lower.shape, bool))
        expected = self._expected_unstable(target)
        rows = (
            max((known_box.lower.shape[0] for known_box in known.boxes.values()), default=1),
            box.lower.shape[1],
        )
        lower, upper = np.array(np.broadcast_to(box.lower, rows)), np.array(np.broadcast_to(box.upper, rows))
        if expected is None:
            self._refine_open(target, np.broadcast_to(open_, rows), lower, upper, known)
        else:
            unexpected = np.flatnonzero(open_.any(axis=0) & ~expected)
            left = self._decide_signs(target, unexpected, lower, upper, known)
            full = np.union1d(np.flatnonzero(expected), left)
            found = self._rows(target, np.tile(full, 2), _both_signs(full.size), known)
            self._put(lower, full, found[:, : full.size])
            self._put(upper, full, -found[:, full.size :])
        return Box(lower, np.maximum(lower, upper))  # lower > upper only where the domain is empty

    def _refine_open(
        self, target: int, open_: NDArray[np.bool_], lower: Floats, upper: Floats, known: Bounds
    ) -> None:
        """Meet the ends (D, n) of a box with backward bounds of the values that are open, in each domain its own.

        Row k of a domain is of its k-th open value. A domain with fewer than others has rows of values that are not open,
        whose bounds are dropped.
        """
        count = int(open_.sum(axis=1).max(initial=0))
        if not count:
            return
        columns = np.argsort(~open_, axis=1, kind="stable")[:, :count]
        neurons = np.tile(columns if len(columns) > 1 else columns[0], 2)
        found = self._rows(target, neurons, _both_signs(count), known)
        mine = np.take_along_axis(open_, columns, axis=1)
        for end, meet, bound in (
            (lower, np.maximum, found[:, :count]),
            (upper, np.minimum, -found[:, count:]),
        ):
            forward = np.take_along_axis(end, columns, axis=1)
            met = np.where(mine & np.isfinite(bound), meet(forward, bound), forward)
            np.put_along_axis(end, columns, met, axis=1)

    @staticmethod
    def _put(end: Floats, columns: Ints, found: Floats) -> None:
        """Put backward bounds into one end of a box; where there is none, the forward bound stays.

        Both are proved. Where guidance names the values, the backward bound is taken even if the forward one is
        tighter: its multipliers were tuned to exactly these bounds, and with fixed slopes a tighter intermediate bound
        can give a looser result.
        """
        end[:, columns] = np.where(np.isfinite(found), found, end[:, columns])

    def _one_affine_step(self, target: int) -> bool:
        """Every path from the target to the inputs passes affine maps only, one at most of which mixes values."""
        nodes = self.network.graph.nodes
        steps, i = 0, target
        while not isinstance(nodes[i].op, Input):
            affine = self.network.affine[i]
            if affine is None or len(affine.maps) != 1:
                return False
            steps += affine.maps[0].fan_in > 1 or not affine.exact
            i = nodes[i].inputs[0]
        return steps <= 1

    def _expected_unstable(self, target: int) -> NDArray[np.bool_] | None:
        """Values that guidance expects to be unstable; of the others only the sign is worth proving (ReLU)."""
        nodes = self.network.graph.nodes
        if not all(isinstance(nodes[c].op, Relu) for c in self.network.consumers[target]):
            return None
        return self.expected(target)

    def _decide_signs(self, target: int, neurons: Ints, lower: Floats, upper: Floats, known: Bounds) -> Ints:
        """Prove z >= 0 or z <= 0 of one side of each neuron, dropping rows as soon as it is proved; returns the rest."""
        if not neurons.size:
            return neurons
        middle = lower[:, neurons].sum(axis=0) + upper[:, neurons].sum(axis=0)
        signs = np.where(middle >= 0, 1, -1).astype(np.int64)
        found = self._rows(target, neurons, signs, known, enough=0.0)
        positive, negative = neurons[signs > 0], neurons[signs < 0]
        lower[:, positive] = np.maximum(lower[:, positive], found[:, signs > 0])
        upper[:, negative] = np.minimum(upper[:, negative], -found[:, signs < 0])
        return neurons[~(found >= 0).all(axis=0)]

    def _rows(
        self, target: int, neurons: Ints, signs: Ints, known: Bounds, enough: float | None = None
    ) -> Floats:
        """(D, K) lower bounds of signs * value, neurons (K,), or (D, K) where each of several domains has its own.

        A row stops early once its bound is >= ``enough``.

        A chunk of rows without a bound leaves -inf to one domain; of several, any may be the cause: OutOfRange.
        """
        domains = max((box.lower.shape[0] for box in known.boxes.values()), default=1)
        near = neurons if neurons.ndim == 1 else neurons.min(axis=0)
        chunks = self._parts(target, near, ROW_ENTRIES // domains)
        result = np.full((domains, signs.size), -np.inf)

        def one(k: int) -> tuple[Ints, Floats | None]:
            rows = chunks[k]
            try:
                return rows, self._row_chunk(target, neurons[..., rows], signs[rows], known, domains, enough)
            except OutOfRange:
                if domains > 1:
                    raise
                return rows, None

        for rows, found in self.apply(one, range(len(chunks))):
            if found is not None:
                result[:, rows] = found
        known.rows += domains * signs.size
        return result

    def _parts(self, target: int, values: Ints, most: int) -> list[Ints]:
        """Rows of values in parts: of an image, of places that lie near together; at most ``most`` numbers on any node."""
        if self.network.convolves:
            from tlcheck.trusted.windows import can_be_cut, parts  # images alone have windows

            if can_be_cut(self.network, target):
                return list(parts(self.network, target, values, most))
        sizes = (self.network.graph.nodes[i].size for i in self.network.needed if i <= target)
        step = max(1, most // max(sizes, default=1))
        return [np.arange(k, min(k + step, values.size)) for k in range(0, values.size, step)]

    def _reach(self, target: int, values: Ints) -> Reach:
        if not self.network.convolves:
            return Reach(self.network, target, values)
        from tlcheck.trusted.windows import Windows

        return Windows(self.network, target, values)

    def _row_chunk(
        self, target: int, neurons: Ints, signs: Ints, known: Bounds, domains: int, enough: float | None
    ) -> Floats:
        """One chunk. With one domain every row becomes a domain of its own, so that it can have its own slopes."""
        single = domains == 1
        windows = self._reach(target, neurons)
        form = self.engine.form(signs.size if single else domains, 1 if single else signs.size)
        form.seed_units(target, windows.size(target), windows.place(target, neurons), signs)
        alive = np.arange(signs.size)
        result = np.full((domains, signs.size), -np.inf)
        drawn = self._lines_for(windows, neurons, signs, known, lambda: alive, single)
        boxes = {i: windows.box(i, box) for i, box in known.boxes.items()}

        def after(activation: int) -> None:
            nonlocal alive
            if enough is None or not single or not form.blocks:
                return
            now = form.lower(boxes)[:, 0]
            result[0, alive] = np.maximum(result[0, alive], now)
            kept = np.flatnonzero(~(now >= enough))
            if kept.size < alive.size:
                alive = alive[kept]
                form.keep(kept)
                if not kept.size:
                    form.blocks.clear()  # every row is settled: nothing is left to carry down

        radii = {i: windows.cut(i, radius) for i, radius in known.radii.items()}
        descend(form, Pass(self.network, boxes, drawn, radii, windows=windows), after)
        if alive.size:
            final = form.lower(boxes)
            if single:
                result[0, alive] = np.maximum(result[0, alive], final[:, 0])
            else:
                result = final
        return result

    def _lines_for(
        self,
        windows: Reach,
        neurons: Ints,
        signs: Ints,
        known: Bounds,
        alive: Callable[[], Ints],
        single: bool,
    ) -> Callable[[int], Lines]:
        """Lines of each activation, for the rows that are alive: their own slopes where the evidence gives some."""
        row_slopes = _RowSlopes(self, windows, neurons, signs)

        def drawn(activation: int) -> Lines:
            node = self.network.graph.nodes[activation]
            z = known.boxes[node.inputs[0]]
            if not isinstance(node.op, Elementwise):
                raise ValueError("lines of something that is not an activation")
            if single and (windows.target, activation) in self.slopes.guidance.intermediate:
                box = windows.box(activation, z)
                return node.op.lines(box, row_slopes.guess(activation, box, alive()))
            lines = known.lines(activation, node.op, z, self.slopes.shared(activation))
            (ls, lt), (us, ut) = lines.lower, lines.upper
            cut = partial(windows.cut, activation)
            return Lines((cut(ls), cut(lt)), (cut(us), cut(ut)))

        return drawn

    def row_bounds(self, target: int, neurons: Ints, sign: int, known: Bounds) -> Floats:
        """Lower bounds (len(neurons),) of sign * value over the one domain of ``known``. Raises OutOfRange."""
        signs = np.full(neurons.size, sign, np.int64)
        found: Floats = self._row_chunk(target, neurons, signs, known, 1, None)[0]
        return found


@dataclass(frozen=True, eq=False)
class _RowSlopes:
    """Slopes of each row of an intermediate pass: the evidence's for that target, else the shared ones."""

    task: Enclosure
    windows: Reach
    neurons: Ints
    signs: Ints

    def guess(self, activation: int, box: Box, alive: Ints) -> SlopeGuess:
        """Of the rows that are alive, for the activation's values in the windows, whose operands' box is ``box``."""
        given = self.task.slopes.guidance.intermediate[self.windows.target, activation]
        inside = self.windows.holds(activation, given.columns)
        columns = self.windows.place(activation, given.columns[inside])
        picked = self._given(given, alive, inside)
        return SlopeGuess(filled(picked, columns, box, box.lower.shape[1]), None)

    def _given(self, given: IntermediateSlopes, alive: Ints, inside: NDArray[np.bool_]) -> Floats:
        row = given.row[self.neurons[alive]][:, None]
        which = np.flatnonzero(inside)
        positive = (self.signs[alive] > 0)[:, None]
        return np.where(positive, given.lower_pass[row, which], given.upper_pass[row, which]).astype(
            np.float64
        )


def _both_signs(count: int) -> Ints:
    return np.repeat(np.array([1, -1], np.int64), count)
