"""The search on neurons as the prover calls it: bounds of the region in rising strength, then branch and bound.

    root bounds -> final slopes -> if something is open: rows of the root bounds optimised, all again -> branch and bound
    -> if that takes long: facts (``facts``) at the top of each open tree, and branch and bound beneath them

Trees begin anew beneath facts: until they have them, the search wants to be asked for all that is open (``whole``). A tree that
came from elsewhere is kept as it is.

Nothing is computed before it is asked for the first time: that call pays for the region's bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.condensed import Condensed
from tlcheck.prover.engine import Engine, Stopped
from tlcheck.prover.facts import Fact, Known, Size, facts, put
from tlcheck.prover.folded import TooWide
from tlcheck.prover.neuron_search import FIRST, MARGIN, Effort, NeuronSearch
from tlcheck.prover.root import Root, root
from tlcheck.prover.tree import Branch, Frame
from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal

Over = Callable[[], bool]

ROWS: Final = 10
"""Steps of each row of the root bounds."""
STAGES: Final = ((6_000, Size()), (120_000, Size(most=64, near=0.15, few=8)))
"""Passes over leaves before facts of a size are looked for."""
HINTED: Final = 100
"""Steps of leaves that are not to be divided: dividing deep ones is dearer."""


class StagedNeurons:
    """``disjuncts`` have one box."""

    def __init__(self, engine: Engine, claim: UnsatClaim, disjuncts: Sequence[int]) -> None:
        self.engine, self.claim, self.disjuncts = engine, claim, disjuncts
        self.candidates: list[NDArray[np.float64]] = []
        self.elsewhere = 0
        """Passes in other processes."""
        self._stage = 0
        """Of ``STAGES``, the one that comes next; when the one before it ended."""
        self._since = 0
        self._shared = False
        self._margin = MARGIN
        self._search: NeuronSearch | None = None
        self._beneath: NeuronSearch | None = None
        """Beneath all of ``_facts``."""
        self._facts: tuple[Fact, ...] = ()
        self._literals: tuple[Literal, ...] = ()
        self._known: Known | None = None
        self._final = False
        """The search is the one for branch and bound."""
        self._frame: Frame | None = None

    @property
    def margin(self) -> float:
        return self._margin

    @margin.setter
    def margin(self, margin: float) -> None:
        for search in (self._search, self._beneath):
            if search is not None:
                search.margins = search.margins * np.float32(margin / self._margin)
        self._margin = margin

    @property
    def frame(self) -> Frame:
        """One and the same as long as evidence is for it."""
        if self._frame is None and self._search is not None:
            self._frame = self._search.frame
        return self._frame or Frame()

    def attempt(self, work: Sequence[Branch], over: Over, steps: int | None = None) -> list[Branch]:
        if any(branch.path for branch in work):
            self._stage = len(STAGES)
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
            return self._closed(open_ if self._shared else self._beneath_facts(open_, over), over)
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

    def _beneath_facts(self, open_: Sequence[Branch], over: Over) -> Sequence[Branch]:
        """Branch and bound for a while; where that does not end, more facts, and again."""
        while open_ and self._stage < len(STAGES):
            if not self._is_due:
                open_ = self._closed(open_, lambda: self._is_due or over())
            if open_ and not over():
                open_ = self._put_facts(open_, STAGES[self._stage][1], over)
            if over():
                break
            self._stage, self._since = self._stage + 1, self.passes
        return open_

    @property
    def passes(self) -> int:
        searches = (self._search, self._beneath)
        return self.elsewhere + sum(search.steps for search in searches if search is not None)

    @property
    def _is_due(self) -> bool:
        return self.passes - self._since > STAGES[self._stage][0]

    @property
    def whole(self) -> bool:
        return not self._shared and self._stage < len(STAGES) and (self._stage == 0 or self._is_due)

    def share(self) -> None:
        self._shared = True

    def _put_facts(self, open_: Sequence[Branch], size: Size, over: Over) -> Sequence[Branch]:
        """Trees that are open begin anew, beneath more facts."""
        search = self._begun()
        known = self._known or Known.of(search.net)
        found, known = facts(self.engine, known, Effort(margin=self._margin), size, over)
        if not found or over():
            return open_
        self._facts, self._known = (*self._facts, *found), known
        self._literals = tuple(fact.literal for fact in self._facts)
        self._beneath = self._searching(search.root, over, known.net)
        self._beneath.optimise_starts(FIRST, over)
        again = {branch.disjunct: branch.root for branch in open_}
        for _, tree in sorted(again.items()):
            tree.clear()
        return [put(tree, self._facts) for _, tree in sorted(again.items())]

    def _closed(self, work: Sequence[Branch], over: Over) -> list[Branch]:
        """By branch and bound, each where it is."""
        leaves = [
            leaf for branch in work for leaf in branch.leaves() if leaf.evidence is None or leaf is branch
        ]
        deep = [self._is_beneath(leaf) for leaf in leaves]
        left = []
        for search, there in ((self._search, False), (self._beneath, True)):
            some = [leaf for leaf, where in zip(leaves, deep, strict=True) if where is there]
            left += search.close(some, over) if search is not None and some else some
        return left

    def _is_beneath(self, branch: Branch) -> bool:
        return self._beneath is not None and branch.path[: len(self._literals)] == self._literals

    def _begin(self, rows: int, over: Over) -> None:
        """Bounds of the region, and the search on them."""
        box = self.claim.query.disjuncts[self.disjuncts[0]].box
        ends = self.engine.inputs(
            np.array([floor_float(q) for q in box.lower]), np.array([-floor_float(-q) for q in box.upper])
        )
        known = self._search.root if self._search is not None else None
        found = root(self.engine, ends, rows, over, known=known)
        search = self._searching(found, over)
        self._search, self._frame, self._final = search, None, rows > 0
        if rows:
            search.optimise_starts(FIRST, over)

    def _searching(self, found: Root, over: Over, net: Condensed | None = None) -> NeuronSearch:
        parts = {d: self.claim.query.disjuncts[d] for d in self.disjuncts}
        search = NeuronSearch(
            self.engine, found, parts, suggest=lambda b: self.suggest(b), over=over, net=net
        )
        search.margins = search.margins * np.float32(self._margin / MARGIN)
        search.candidates = self.candidates
        return search

    def _begun(self) -> NeuronSearch:
        if self._search is None:
            raise Stopped
        return self._search
