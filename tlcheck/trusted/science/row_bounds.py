"""Lower bounds of linear forms of a network's output over many boxes, one backward pass each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine, LinearForm
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.linear_bounds import Pass, descend
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines

Floats = NDArray[np.float64]

CHUNK_ENTRIES = 1 << 20
"""Coefficients of one chunk of an example's rows on the widest node: 8 MiB."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Lower bounds of linear forms of the only output, in the arithmetic of ``engine``."""

    network: Network
    engine: Engine
    deployed: Profile | None = None

    def bounds(self, lower: Floats, upper: Floats, rows: Floats) -> Floats:
        """(D, R): lower bounds of rows . outputs, for ``rows`` (D, R, C) and boxes (D, n); -inf where there is none."""
        found = np.full(rows.shape[:2], -inf)
        step = max(1, CHUNK_ENTRIES // (max(node.size for node in self.network.graph.nodes) * rows.shape[0]))
        try:
            known = self._known(lower, upper)
            for start in range(0, rows.shape[1], step):
                part = slice(start, start + step)
                found[:, part] = self._pass(known, rows[:, part]).lower(known.boxes)
        except OutOfRange:
            return np.full(rows.shape[:2], -inf)
        return found

    def falls(self, lower: Floats, upper: Floats, row: Floats) -> NDArray[np.bool_]:
        """(n,): where the linear bound of ``row`` (C,) on the box (1, n) falls. A guess: no proof rests on it."""
        found = np.zeros(self.network.graph.n_inputs, bool)
        try:
            form = self._pass(self._known(lower, upper), row[None, None, :])
        except OutOfRange:
            return found
        for node, s in self.network.input_slices.items():
            block = form.blocks.get(node)
            if isinstance(block, np.ndarray):
                found[s] = block[0, 0] < 0
        return found

    def _known(self, lower: Floats, upper: Floats) -> Bounds:
        inputs = {n: Box(lower[:, s], upper[:, s]) for n, s in self.network.input_slices.items()}
        return Enclosure(
            self.network, self.engine, Slopes(NO_GUIDANCE, lambda _: None), self.deployed
        ).bounds(inputs)

    def _pass(self, known: Bounds, rows: Floats) -> LinearForm[Any]:
        ((node, _),) = self.network.output_slices
        form = self.engine.form(*rows.shape[:2])
        form.seed_rows(node, np.ascontiguousarray(rows), None, known.boxes[node])
        descend(form, Pass(self.network, known.boxes, self._lines(known), known.radii))
        return form

    def _lines(self, known: Bounds) -> Callable[[int], Lines]:
        slopes = Slopes(NO_GUIDANCE, lambda _: None)

        def drawn(activation: int) -> Lines:
            node = self.network.graph.nodes[activation]
            if not isinstance(node.op, Elementwise):
                raise ValueError("lines of something that is not an activation")
            return known.lines(activation, node.op, known.boxes[node.inputs[0]], slopes.shared(activation))

        return drawn
