"""Values as affine forms in symbols that all nodes share: enclosures that are nearly as cheap as boxes, and forget less.

On each domain, at every of its points (and in every deployed execution there), the values of a node are
    centre + sum_s term_s symbol_s + rest,  each symbol in [-1, 1], |rest| <= the node's rest,
with the same symbols for all nodes: one of each input, x = centre + radius symbol; and one of each ReLU value whose operand's
box [l, u] has both signs: there 0 <= relu(z) - a z <= t for any a in [0, 1] and t >= max(-a l, (1 - a) u), so that
    relu(z) = a z + t / 2 + (t / 2) symbol  for a symbol in [-1, 1].
What float64 rounds is added to the rest, by ``ball64.py``'s bounds: a product's sums as in ``Ball64.image``, summed over the
symbols (each is at most 1); another operation by 2V of its result. It decides which values backward passes need not look at.
A domain's own values play no part in another's: symbols that it does not have are zeros, added in order.

``zonotopes.py`` has the same sentence at points, for executions. There almost every value has a symbol, of its rounding, in each
point's own rows, which are scaled lazily and given up where they are too many; here roundings have none, few values have one, and
the many leaves of a chunk share one array, whose products' sums have one order for each leaf whatever the others are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import (
    TINY,
    Ball64,
    V,
    centre_radius_up,
    gamma_up,
    guard,
    guard_factor,
    outward_down,
    outward_up,
    slack_up,
)
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.structure import Input

Floats = NDArray[np.float64]

MOST_INPUTS = 64
MOST_SYMBOLS = 1024
"""Up to which forms are made: cost, not soundness."""


def pay(network: Network) -> bool:
    """Few inputs, and few ReLU values in all."""
    nodes = network.graph.nodes
    values = sum(n.size for n in nodes if isinstance(n.op, Relu))
    return sum(nodes[i].size for i in network.graph.inputs) <= MOST_INPUTS and 0 < values <= MOST_SYMBOLS


@dataclass(frozen=True, eq=False)
class AffineForm:
    """``centre`` (D, n); ``terms`` (D, S, n), of the first S symbols; ``rest`` and ``spread`` (D, n) >= 0, ``spread``
    at least the sum of the terms' magnitudes."""

    centre: Floats
    terms: Floats
    rest: Floats
    spread: Floats

    def grown(self, more: Floats | float) -> AffineForm:
        """With a rest that covers ``more`` too, and one rounding of the centre."""
        rest = (self.rest + more + 2 * V * np.abs(self.centre)) * (1 + 8 * V) + TINY
        return AffineForm(self.centre, self.terms, rest, self.spread)

    def plus(self, other: AffineForm) -> AffineForm:
        long, short = (self, other) if self.terms.shape[1] >= other.terms.shape[1] else (other, self)
        terms = long.terms.copy()
        terms[:, : short.terms.shape[1]] += short.terms
        rest, spread = (self.rest + other.rest) * (1 + 4 * V), spread_up(terms)
        return AffineForm(long.centre + short.centre, terms, rest, spread).grown(2 * V * spread)

    def box(self) -> Box:
        reach = (self.spread + self.rest) * (1 + 8 * V) + 4 * V * np.abs(self.centre) + TINY
        return Box(outward_down(self.centre - reach), outward_up(self.centre + reach))


def spread_up(terms: Floats) -> Floats:
    """>= the sum of magnitudes over the symbols, added one after the other."""
    magnitudes = np.abs(terms)
    one = terms.shape[2] == 1 and terms.shape[1] > 0  # numpy would add up pairs
    total = np.cumsum(magnitudes, axis=1)[:, -1] if one else magnitudes.sum(axis=1)
    if terms.shape[1] > MOST_INPUTS + MOST_SYMBOLS:
        raise OutOfRange("too many symbols")
    return np.asarray(total * slack_up(MOST_INPUTS + MOST_SYMBOLS) + TINY)


class Forms:
    """The forms of a network's nodes over D domains, made in the nodes' order; none any more from where one is out of range."""

    def __init__(self, network: Network, engine: Engine, domains: int) -> None:
        if not isinstance(engine, Ball64):
            raise ValueError("affine forms are of float64")
        self.network, self.engine, self.domains = network, engine, domains
        self.known: dict[int, AffineForm] | None = {}
        self.symbols = 0

    def met(self, i: int, boxes: Mapping[int, Box], box: Box, radius: Floats | None = None) -> Box:
        """Node i's ``box`` met with that of its form; ``boxes`` are of the nodes before it, ``radius`` its deployed one."""
        if self.known is None:
            return box
        try:
            form = self.known[i] = self._form(i, self.known, boxes, box, radius)
        except OutOfRange:
            if self.domains > 1:  # another's numbers must not decide: the chunk is decided again in halves
                raise
            self.known = None
            return box
        own = form.box()
        lower, upper = np.maximum(box.lower, own.lower), np.minimum(box.upper, own.upper)
        return Box(lower, np.maximum(lower, upper))

    def _form(
        self, i: int, known: dict[int, AffineForm], boxes: Mapping[int, Box], box: Box, radius: Floats | None
    ) -> AffineForm:
        node, affine = self.network.graph.nodes[i], self.network.affine[i]
        if affine is not None:
            operands = [(known[j], boxes[j].magnitude) for j in node.inputs]
            form = self._affine(affine, operands)
        elif isinstance(node.op, Relu):
            form = self._relu(known[node.inputs[0]], boxes[node.inputs[0]])
        else:
            return self._fresh(box, symbols=isinstance(node.op, Input))
        if radius is None:
            return form
        guard(radius)
        return form.grown(radius)

    def _fresh(self, box: Box, symbols: bool) -> AffineForm:
        """A form of nothing but the box: with symbols, one of each value, else all in the rest."""
        guard(box.lower, box.upper)
        n = box.lower.shape[1]
        centre, radius = (np.broadcast_to(x, (self.domains, n)) for x in centre_radius_up(box))
        none = np.zeros((self.domains, n))
        if not symbols:
            return AffineForm(centre, np.zeros((self.domains, 0, n)), radius, none)
        terms = np.zeros((self.domains, self.symbols + n, n))
        terms[:, self.symbols + np.arange(n), np.arange(n)] = radius
        self.symbols += n
        return AffineForm(centre, terms, none, radius)

    def _affine(self, affine: Affine, operands: list[tuple[AffineForm, Floats]]) -> AffineForm:
        """|M x - fl(M centre) - sum_s fl(M term_s) symbol_s| <= |M| (rest + gamma (|centre| + spread)), and what the weights'
        enclosures add."""
        total: AffineForm | None = None
        for m, (form, magnitude) in zip(affine.maps, operands, strict=True):
            guard(form.centre, form.spread, form.rest, magnitude)
            guard_factor(m)
            d, s, n = form.terms.shape
            size = np.abs(form.centre) + form.spread
            reach = (form.rest + gamma_up(m.fan_in + 2) * size) * (1 + 8 * V)
            centre = self.engine.forward(m, form.centre)
            terms = np.zeros((d, s, m.n_out))
            if s:
                terms = self.engine.forward(m, form.terms.reshape(d * s, n)).reshape(terms.shape)
            rest = self.engine.magnitude_up(m, reach) + self.engine.uncertain_up(m, magnitude)
            moved = AffineForm(centre, terms, rest * (1 + 4 * V) + TINY, spread_up(terms))
            total = moved if total is None else total.plus(moved)
        if total is None:
            raise ValueError("an affine operation without operands")
        if affine.offset is None:
            return total
        guard(affine.offset.mid.astype(np.float64))
        centre = total.centre + affine.offset.mid
        more = 0.0 if affine.offset.rad is None else affine.offset.rad
        return AffineForm(centre, total.terms, total.rest, total.spread).grown(more)

    def _relu(self, z: AffineForm, box: Box) -> AffineForm:
        """slope z + t / 2 + (t / 2) symbol. Each product is within V of itself, and the centre's sum within V (|sum| + t)."""
        guard(box.lower, box.upper, z.centre, z.spread, z.rest)
        l, u = (np.broadcast_to(x, z.rest.shape) for x in (box.lower, box.upper))
        open_ = (l < 0) & (u > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(open_, np.clip(u / (u - l), 0.0, 1.0), (l >= 0).astype(np.float64))
        t = np.where(open_, np.maximum(-slope * l, (1 - slope) * u) * (1 + 8 * V) + TINY, 0.0)
        count = int(open_.sum(axis=1).max(initial=0))
        columns = np.argsort(~open_, axis=1, kind="stable")[:, :count]
        terms = np.zeros((self.domains, self.symbols + count, z.rest.shape[1]))
        np.multiply(z.terms, slope[:, None], out=terms[:, : z.terms.shape[1]])
        halves = np.take_along_axis(0.5 * t, columns, axis=1)
        terms[np.arange(self.domains)[:, None], self.symbols + np.arange(count), columns] = halves
        self.symbols += count
        spread = (z.spread * slope + t) * (1 + 8 * V) + TINY
        form = AffineForm(z.centre * slope + 0.5 * t, terms, z.rest * slope * (1 + 4 * V), spread)
        return form.grown(2 * V * (spread + np.abs(z.centre) * slope + t))
