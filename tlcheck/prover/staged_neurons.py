"""The search on neurons as the prover calls it: bounds of the region in rising strength, then branch and bound.

    root bounds -> final slopes -> if something is open: rows of the root bounds optimised, all again -> branch and bound

Nothing is computed before it is asked for the first time: that call pays for the region's bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.engine import Engine, Stopped
from tlcheck.prover.folded import TooWide
from tlcheck.prover.neuron_search import FIRST, MARGIN, NeuronSearch
from tlcheck.prover.root import root
from tlcheck.prover.tree import Branch, Frame
from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.claim import UnsatClaim

Over = Callable[[], bool]

ROWS: Final = 10
"""Steps of each row of the root bounds."""
HINTED: Final = 100
"""Steps of leaves that are not to be divided: dividing deep ones is dearer."""


class StagedNeurons:
    """``disjuncts`` have one box."""

    def __init__(self, engine: Engine, claim: UnsatClaim, disjuncts: Sequence[int]) -> None:
        self.engine, self.claim, self.disjuncts = engine, claim, disjuncts
        self.candidates: list[NDArray[np.float64]] = []
        self._margin = MARGIN
        self._search: NeuronSearch | None = None
        self._final = False
        """The search is the one for branch and bound."""
        self._frame: Frame | None = None

    @property
    def margin(self) -> float:
        return self._margin

    @margin.setter
    def margin(self, margin: float) -> None:
        if self._search is not None:
            self._search.margins = self._search.margins * np.float32(margin / self._margin)
        self._margin = margin

    @property
    def frame(self) -> Frame:
        """One and the same as long as evidence is for it."""
        if self._frame is None and self._search is not None:
            self._frame = self._search.frame
        return self._frame or Frame()

    def attempt(self, work: Sequence[Branch], over: Over, steps: int | None = None) -> list[Branch]:
        try:
            if not work:
                self._ready(over)
            open_ = list(work) if self._final else self._staged(work, over)
            return self._begun().settle(open_, HINTED if steps is None else steps, over) if open_ else []
        except (Stopped, TooWide, OutOfRange):
            return [branch for branch in work if branch.evidence is None]

    def side(self, node: int, index: int, point: float) -> int | None:
        """Of a cut: the side that alone has points of the region; 0: both have; None: it is no cut of a neuron here."""
        search = self._search
        if search is None or point != 0 or not 0 <= node < len(self.engine.nodes):
            return None
        return search.side(node, index) if 0 <= index < self.engine.nodes[node].size else None

    def suggest(self, branch: Branch) -> tuple[int, int] | None:
        """Where to divide an open branch; a caller may put a rule of its own in this place."""
        return None

    def close(self, work: Sequence[Branch], over: Over) -> list[Branch]:
        try:
            open_ = list(work) if self._final else self._staged(work, over)
            return self._begun().close(open_, over) if open_ else []
        except (Stopped, TooWide, OutOfRange):
            return [leaf for branch in work for leaf in branch.leaves() if leaf.evidence is None]

    def _ready(self, over: Over) -> None:
        """The frame of branch and bound, which leaves that were closed elsewhere have their evidence for."""
        if not self._final:
            if self._search is None:
                self._begin(0, over)
            self._begin(ROWS, over)

    def _staged(self, work: Sequence[Branch], over: Over) -> list[Branch]:
        """Close what closes without branching; what is left, for the search that branches."""
        self._begin(0, over)
        open_ = self._begun().settle(work, 0, over)
        if open_ and not over():
            open_ = self._begun().settle(open_, FIRST, over)
        if not open_ or over():
            return open_
        self._begin(ROWS, over)
        for branch in work:  # evidence is for the frame that it was found in
            branch.evidence = None
        return self._begun().settle(work, 0, over)

    def _begin(self, rows: int, over: Over) -> None:
        """Bounds of the region, and the search on them."""
        box = self.claim.query.disjuncts[self.disjuncts[0]].box
        ends = self.engine.inputs(
            np.array([floor_float(q) for q in box.lower]), np.array([-floor_float(-q) for q in box.upper])
        )
        known = self._search.root if self._search is not None else None
        found = root(self.engine, ends, rows, over, known=known)
        parts = {d: self.claim.query.disjuncts[d] for d in self.disjuncts}
        search = NeuronSearch(self.engine, found, parts, suggest=lambda b: self.suggest(b), over=over)
        search.margins = search.margins * np.float32(self._margin / MARGIN)
        self._search, self._frame, self._final = search, None, rows > 0
        if rows:
            search.optimise_starts(FIRST, over)

    def _begun(self) -> NeuronSearch:
        if self._search is None:
            raise Stopped
        return self._search
