"""One region of a query: its disjuncts, and the searches that are at work on them.

Either of two searches can close a disjunct: the one on neurons or the one on inputs. Each has trees of its own; a disjunct is
done when one tree of it is closed, whichever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from tlcheck.prover.branch_journal import INPUTS, NEURONS, Leaf, fits
from tlcheck.prover.tree import Branch, Frame, Search
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.smooth import Smooth
from tlcheck.trusted.plan import holds_nowhere
from tlcheck.trusted.query import Disjunct, InputBox

if TYPE_CHECKING:
    from tlcheck.trusted.graph import Graph

Over = Callable[[], bool]
FEW_INPUTS: Final = 12
"""Inputs of non-zero width up to which splits on inputs come first."""
SOME_INPUTS: Final = 60
"""Up to which they are tried at all, where the search on neurons still has something to do."""
WIDE: Final = 4096
"""Values of a convolution beyond which splits on inputs do not come first: every box would bound all of them anew."""


class Hints(Protocol):
    """Another tool's work. ``kind``: of the search that can make use of it."""

    kind: str

    def follow(self, search: Any, kind: str, roots: Sequence[Branch], over: Over) -> list[Branch]:
        """Close what can be closed of undivided roots; the branches that are left to close."""
        ...


def is_empty(disjunct: Disjunct) -> bool:
    """No input is in it: nothing to prove."""
    box = disjunct.box
    if any(a > b for a, b in zip(box.lower, box.upper, strict=True)):
        return True
    return any(holds_nowhere(c, box) for c in disjunct.constraints)


def free_inputs(box: InputBox) -> int:
    """Inputs of non-zero width."""
    return sum(a < b for a, b in zip(box.lower, box.upper, strict=True))


def kinds_for(graph: Graph, box: InputBox) -> tuple[str, ...]:
    """The searches worth trying, the better one first. Cuts of inputs alone narrow what is no neuron."""
    wide = any(isinstance(node.op, Conv) and node.size > WIDE for node in graph.nodes)
    bent = any(isinstance(node.op, Product | MatProduct | Smooth) for node in graph.nodes)
    if free_inputs(box) <= (SOME_INPUTS if bent else FEW_INPUTS) and not wide:
        return INPUTS, NEURONS
    return NEURONS, INPUTS


@dataclass(eq=False)
class Attempt:
    """One search and its trees: ``open`` are the leaves that it is to close. ``stuck``: it gave up on them."""

    kind: str
    search: Search
    roots: dict[int, Branch]
    open: list[Branch]
    stuck: bool = False
    given: Frame | None = None
    """The frame of a search in another process, that found what is closed so far."""

    @property
    def frame(self) -> Frame:
        return self.search.frame if self.given is None else self.given

    def leaves(self) -> Iterator[Branch]:
        for root in self.roots.values():
            yield from root.leaves()

    def go_on(self, over: Over) -> None:
        self.open = self.search.close(self.open, over)
        if self.given is not None:
            self.given = None
            self._fit()
        self.stuck = bool(self.open) and not over()

    def _fit(self) -> None:
        """Evidence for another frame than the search's own is of no use."""
        for leaf in self.leaves():
            if leaf.evidence is not None and not fits(leaf.evidence, self.frame):
                leaf.evidence = None
                self.open.append(leaf)

    def begin(self, hints: Hints, over: Over) -> None:
        self.open = hints.follow(self.search, self.kind, list(self.roots.values()), over)


@dataclass(eq=False)
class Region:
    """Disjuncts with one box. ``make(kind, disjuncts)``: a search for some of them; None where there is none."""

    box: InputBox
    disjuncts: tuple[int, ...]
    kinds: tuple[str, ...]
    make: Callable[[str, Sequence[int]], Search | None]
    hints: Hints | None = None
    remembered: Mapping[str, Sequence[Leaf]] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    impossible: set[str] = field(default_factory=set)
    done: dict[int, str] = field(default_factory=dict)
    turn: int = 0

    @property
    def left(self) -> list[int]:
        return [d for d in self.disjuncts if d not in self.done]

    @property
    def usable(self) -> list[str]:
        """Searches that have not given up; those that take turns. With many inputs, cutting them is for want of anything else."""
        found = [k for k in self.kinds if k not in self.impossible and not self._stuck(k)]
        return found if self.free <= SOME_INPUTS else found[:1]

    @property
    def kind(self) -> str | None:
        """The search whose turn it is; None when all gave up."""
        usable = self.usable
        return usable[self.turn % len(usable)] if usable else None

    def _stuck(self, kind: str) -> bool:
        return kind in self.attempts and self.attempts[kind].stuck

    @cached_property
    def free(self) -> int:
        return free_inputs(self.box)

    def attempt(self, kind: str, over: Over) -> Attempt | None:
        """The attempt of this kind, begun if it is not; None where the search is impossible."""
        if kind not in self.attempts:
            search = self.make(kind, self.left)
            if search is None:
                self.impossible.add(kind)
                return None
            roots = {d: Branch(d) for d in self.left}
            attempt = self.attempts[kind] = Attempt(kind, search, roots, list(roots.values()))
            self._begin(attempt, over)
        attempt = self.attempts[kind]
        attempt.open = [branch for branch in attempt.open if branch.disjunct not in self.done]
        return attempt

    def _begin(self, attempt: Attempt, over: Over) -> None:
        remembered = self.remembered.get(attempt.kind, ())
        if remembered:
            attempt.search.attempt([], over)  # it has a frame now
            for leaf in remembered:
                if leaf.disjunct in attempt.roots:
                    leaf.put(attempt.roots[leaf.disjunct], attempt.frame)
            self._look(attempt)
            return
        if self.hints is not None:
            attempt.begin(self.hints, over)

    def _look(self, attempt: Attempt) -> None:
        attempt.open = [
            leaf for d, root in attempt.roots.items() if d not in self.done for leaf in root.leaves()
            if leaf.evidence is None
        ]  # fmt: skip

    def go_on(self, kind: str, over: Over) -> None:
        """Let the search work until ``over()``; note which disjuncts it closed."""
        attempt = self.attempt(kind, over)
        if attempt is not None:
            attempt.go_on(over)
            self.settle(attempt)

    def settle(self, attempt: Attempt) -> None:
        """A disjunct of which nothing is open is done."""
        still = {branch.disjunct for branch in attempt.open}
        for d in attempt.roots:
            if d not in still:
                self.done.setdefault(d, attempt.kind)

    def take(
        self, kind: str, leaves: Sequence[Leaf], frame: Frame | None, stuck: bool, passes: int, whole: bool
    ) -> None:
        """Take over what another process made of the attempt, of ``whole`` trees or leaves of them; ``frame``: of one that it
        began; ``passes``: what that took."""
        if kind not in self.attempts:
            search = self.make(kind, self.left)
            if search is None or frame is None:
                self.impossible.add(kind)
                return
            roots = {d: Branch(d) for d in self.left}
            self.attempts[kind] = Attempt(kind, search, roots, [], given=frame)
        attempt = self.attempts[kind]
        attempt.search.elsewhere += passes
        if whole:
            for d in {leaf.disjunct for leaf in leaves} & set(attempt.roots):
                attempt.roots[d].clear()
        for leaf in leaves:
            if leaf.disjunct in attempt.roots:
                leaf.put(attempt.roots[leaf.disjunct], attempt.frame)
        attempt.stuck = stuck
        self._look(attempt)
        self.settle(attempt)

    def reopen(self, branches: Sequence[Branch], *, refused: bool) -> None:
        """Leaves that the checker did not accept are open again; ``refused``: to be divided."""
        for branch in branches:
            attempt = self.attempts[self.done[branch.disjunct]]
            branch.evidence, branch.refused = None, refused
            attempt.open.append(branch)
            attempt.stuck = False
            self.turn = self.usable.index(attempt.kind) if attempt.kind in self.usable else 0
        for branch in branches:
            self.done.pop(branch.disjunct, None)

    def leaves(self) -> Iterator[tuple[str, Branch]]:
        """(kind of search, leaf) of the tree of each disjunct that is closed, or the largest one."""
        for d in self.disjuncts:
            trees = {
                kind: list(attempt.roots[d].leaves())
                for kind, attempt in self.attempts.items()
                if d in attempt.roots and self.done.get(d, kind) == kind
            }
            if trees:
                kind = max(trees, key=lambda kind: len(trees[kind]))
                yield from ((kind, leaf) for leaf in trees[kind])
