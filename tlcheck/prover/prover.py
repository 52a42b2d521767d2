"""The prover: a claim in; a proof that the checker accepted, a witness that the kernel certified, or how far it got.

    attack -> each region: its searches in turn, until every disjunct has a closed tree -> check, reopen refused leaves, again

Nothing it says is believed: a proof is guidance, decided by ``checking`` as any other; a witness is a claim of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.journal import Lines
from tlcheck.checking.pool import FORKS, WorkerDied, processes, workers_for
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.options import Progress
from tlcheck.prover.attack import float_near
from tlcheck.prover.branch_journal import INPUTS, NEURONS, Leaf, read, written
from tlcheck.prover.refute import Point, Refuter
from tlcheck.prover.region_work import Hints, Region, is_empty, kinds_for
from tlcheck.prover.tree import Branch, Frame, Search, guidance_of, whole_boxes
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import NO_GUIDANCE, Guidance
from tlcheck.trusted.plan import BadGuidance, Plan, Settings
from tlcheck.trusted.query import InputBox

if TYPE_CHECKING:
    from tlcheck.prover.engine import Engine

Floats = NDArray[np.float64]
Accept = Callable[[Guidance], "bool | str"]
"""Whether guidance is a proof; or why that could not be decided, which ends it."""

ATTACK_SHARE: Final = 0.1
"""Of the time, what the search for a witness may take before the search for a proof."""
LEAST_ATTACK: Final = 0.3
"""Seconds from points of open branches: a descent or two."""
FIRST_SHARE: Final = 0.6
"""Of what is left, the turn of the search that comes first in a region; then the other's, and so on."""
LAST: Final = 0.1
"""Less than this of the time is not shared any more."""
FIRST_TURN: Final = 30.0
"""Seconds of the first turn where there is no limit; each is twice the one before."""
MOST_REPAIRS: Final = 12
"""Times that refused leaves are reopened."""
REPAIR_SHARE: Final = 0.5
"""Of the time that the search took, what repairs may take beyond its limit."""
SPARE: Final = 1.25
"""What is asked for in advance, relative to what float32 rounding took from a leaf's margin."""
PARALLEL_FROM: Final = 2.0
"""Seconds of a search after which its open branches are shared among processes."""
SLICE: Final = 4.0
"""Seconds that a process works on its share before all is shared anew."""
SHARES: Final = 4
"""Shares of the work for each process."""
BEAT: Final = 0.5
"""Seconds between two looks at how far the search is."""
SAVE: Final = 20.0
"""Seconds between two additions to the journal."""
TIME_IS_OVER: Final = "time is over"
GAVE_UP: Final = "the searches gave up"
MOST_DISJUNCTS: Final = 10_000
"""Disjuncts of a property that a proof is tried for."""
CANDIDATES: Final = 16
"""Points of open branches that descents start from at once."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``seconds``: of the search; ``check_seconds``: how much later a check and repairs of what it found must end, None: whenever
    they do. ``jobs``: processes, 0: one per core. ``deployed``: the proof must hold for every float32 execution that
    the profile allows. ``boxes``: of the searches on inputs, None: no limit."""

    seconds: float = inf
    check_seconds: float | None = None
    memory_mib: int | None = None
    jobs: int = 1
    seed: int = 0
    deployed: Profile | None = None
    boxes: int | None = None


class Attacks(Protocol):
    """Looks for a witness until a moment of ``timer.now()``."""

    def quick(self, until: float) -> Point | None:
        """Before the search for a proof."""
        ...

    def near(self, starts: Sequence[Floats], until: float) -> Point | None:
        """From points of the search's open branches."""
        ...

    def thorough(self, until: float) -> Point | None:
        """Once the search takes longer."""
        ...


@dataclass(frozen=True, eq=False)
class Proof:
    """Guidance that was accepted."""

    guidance: Guidance
    leaves: int


@dataclass(frozen=True, eq=False)
class Witness:
    """A point at which the kernel certified that the query is satisfied."""

    point: Point


@dataclass(frozen=True)
class Unknown:
    """How far the search got: leaves closed and open, the worst bound of an open one (-inf: none), and why it ended."""

    worst: float
    open: int
    closed: int
    why: str


@dataclass(frozen=True)
class Standing:
    """Where a running search is. ``left``: seconds, inf: no limit."""

    stage: str
    open: int
    closed: int
    worst: float
    left: float


Tell = Callable[[Standing], None] | None


@dataclass(frozen=True)
class Part:
    """Work for one process: the open branches of a region's attempt, by position; None: all, and the attempt is new there."""

    region: int
    kind: str
    branches: tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Worked:
    """What a process made of its part: leaves, and points that may be witnesses. ``frame``: of an attempt that it began.
    ``impossible``: there is no such search; ``stuck``: it gave up; ``passes``: what it took."""

    leaves: Sequence[Leaf]
    candidates: Sequence[Floats]
    frame: Frame | None = None
    impossible: bool = False
    stuck: bool = False
    passes: int = 0


class Watch:
    """What searches poll: whether to stop, which once true stays true."""

    def __init__(self, until: float, look: Callable[[float], bool]) -> None:
        self._until, self._look, self._over = until, look, False

    def __call__(self) -> bool:
        if not self._over:
            now = timer.now()
            self._over = now > self._until or self._look(now)
        return self._over


@dataclass(eq=False)
class Prover:
    """Proves or refutes ``claim``. ``model``: its ONNX file, for executions. ``report`` is told where it is; ``journal``: leaves
    of an earlier run are taken up, and those of this one kept. ``attack``: what looks for a witness; the usual one otherwise.

    Raises NoRelaxation and NotDeployable as a plan does; what ``accept`` raises.
    """

    claim: UnsatClaim
    limits: Limits = Limits()
    model: bytes | None = None
    report: Tell = None
    journal: Lines | None = None
    attack: Attacks | None = None
    floats: type[np.floating] = np.float32
    """Of the search: the checker decides in any case."""

    def prove(self, hints: Hints | None = None, accept: Accept | None = None) -> Proof | Witness | Unknown:
        """``accept`` decides on guidance in place of the prover's own check (which then only finds what to repair)."""
        with np.errstate(all="ignore"):  # floats of a search may be anything
            return self._answer(hints, accept)

    def _answer(self, hints: Hints | None, accept: Accept | None) -> Proof | Witness | Unknown:
        self._start = timer.now()
        self._until = self._start + self.limits.seconds
        self._hints = hints
        self._witness = self.refuter.quick(self._start + ATTACK_SHARE * self.limits.seconds)
        if self._witness is not None:
            return Witness(self._witness)
        problem = self._hopeless()
        if problem:
            return self._unknown(problem)
        try:
            found = self._proved(accept)
            gave_up = isinstance(found, Unknown) and found.why == GAVE_UP
            return (self._at_root(accept) if gave_up else None) or found
        except MemoryError:
            return self._unknown("out of memory")
        finally:
            self._save(final=True)

    def _hopeless(self) -> str:
        disjuncts = self.claim.query.disjuncts
        if len(disjuncts) > MOST_DISJUNCTS:
            return f"more than {MOST_DISJUNCTS} disjuncts"
        if any(not d.constraints and not is_empty(d) for d in disjuncts):
            return "a disjunct without constraints: any input of its region is a witness"
        with suppress(BadGuidance):
            Plan(self.claim, NO_GUIDANCE, Settings())
        return ""

    @cached_property
    def refuter(self) -> Attacks:
        return self.attack or self.usual_attack

    @cached_property
    def usual_attack(self) -> Refuter:
        graph, query = self.claim.graph, self.claim.query
        return Refuter(graph, query, self.model, self.limits.deployed, self.limits.seed)

    # regions

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Of the disjuncts that are not empty: those with one box."""
        members: dict[InputBox, list[int]] = {}
        for d, disjunct in enumerate(self.claim.query.disjuncts):
            if not is_empty(disjunct):
                members.setdefault(disjunct.box, []).append(d)
        known = self._remembered()
        return tuple(
            Region(box, tuple(which), self._kinds(box), self._make, self._hints, known)
            for box, which in members.items()
        )

    def _kinds(self, box: InputBox) -> tuple[str, ...]:
        """The hinted search first."""
        kinds, hints = kinds_for(self.claim.graph, box), self._hints
        return kinds if hints is None else tuple(sorted(kinds, key=lambda kind: kind != hints.kind))

    @property
    def roots(self) -> list[Branch]:
        """The trees of a proof, one for each disjunct."""
        return self._trees()[0]

    def _remembered(self) -> dict[str, list[Leaf]]:
        found: dict[str, list[Leaf]] = {}
        for kind, leaf in read(self.journal, self.claim) if self.journal is not None else ():
            found.setdefault(kind, []).append(leaf)
        return found

    @cached_property
    def _engine(self) -> Engine:
        from tlcheck.prover.engine import Engine

        return Engine(self.claim.graph, self.floats)

    def _make(self, kind: str, disjuncts: Sequence[int]) -> Search | None:
        try:
            return searches()[kind](self._engine, self.claim, disjuncts)
        except (KeyError, ValueError, OutOfRange):
            return None

    def _at_root(self, accept: Accept | None) -> Proof | None:
        """A margin that no float of the search tells from 0 may be one for the kernel: it is asked, of the whole boxes."""
        disjuncts = self.claim.query.disjuncts
        if any(len(d.constraints) != 1 for d in disjuncts) or self._is_full:
            return None
        guidance = whole_boxes(len(disjuncts))
        spare = self.limits.check_seconds
        left = None if spare is None else max(0.0, self._until + spare - timer.now())
        plan = planned(self.claim, guidance, Settings(deployed=self.limits.deployed))
        run = run_leaves(plan, self.limits.jobs, Deadline(left, self.limits.memory_mib), self._told, None)
        if (
            run.stopped
            or len(run.outcomes) < guidance.leaves.count
            or not all(o.certified for o in run.outcomes)
        ):
            return None
        if accept is not None and accept(guidance) is not True:
            return None
        return Proof(guidance, len(disjuncts))

    # the search

    def _proved(self, accept: Accept | None) -> Proof | Witness | Unknown:
        self._search()
        closed = timer.now()
        if self._witness is None and any(region.left for region in self.regions):
            return self._unknown("")
        spare = self.limits.check_seconds
        hard = inf if spare is None else self._until + spare
        self._until = max(self._until, min(hard, closed + REPAIR_SHARE * (closed - self._start)))
        for attempt in range(MOST_REPAIRS):
            if self._witness is not None:
                return Witness(self._witness)
            if any(region.left for region in self.regions):
                return self._unknown("")
            roots, frames = self._trees()
            guidance = guidance_of(roots, frames)
            count = sum(1 for root in roots for _ in root.leaves())
            accepted = False if accept is None else accept(guidance)
            if accepted is True:
                return Proof(guidance, count)
            if isinstance(accepted, str):
                return self._unknown(accepted)
            refused = self._refused(guidance, roots, hard)
            if isinstance(refused, str):
                return self._unknown(refused)
            if not refused:
                return (
                    Proof(guidance, count) if accept is None else self._unknown("the check did not accept it")
                )
            self._reopen(refused, first=attempt == 0)
            self._search()
        return self._unknown(f"leaves that the check refuses, after {MOST_REPAIRS} repairs")

    def _search(self) -> None:
        """Let the regions' searches work, in turns, until all is closed, a witness is there, or time is over."""
        turn = 0
        while not self._ended():
            open_ = [region for region in self.regions if region.left and region.kind is not None]
            if not open_:
                return
            now = timer.now()
            self._take_turn(open_, now + self._turn_seconds(open_, now, turn))
            turn += 1
            for region in open_:
                region.turn += 1

    def _ended(self) -> bool:
        return self._witness is not None or timer.now() > self._until or self._is_full

    @property
    def _is_full(self) -> bool:
        return self.limits.boxes is not None and self.boxes >= self.limits.boxes

    @property
    def boxes(self) -> int:
        """Boxes that this process's searches on inputs bounded."""
        searches = (a.search for region in self._begun for a in region.attempts.values())
        return sum(getattr(search, "boxes", 0) for search in searches)

    @property
    def _begun(self) -> Sequence[Region]:
        return self.regions if "regions" in vars(self) else ()

    def open_branch(self) -> Branch | None:
        """Of those that are open, one with the worst bound."""
        leaves = (leaf for region in self._begun for _, leaf in region.leaves() if leaf.evidence is None)
        return min(leaves, key=lambda leaf: leaf.bound, default=None)

    def _turn_seconds(self, open_: Sequence[Region], now: float, turn: int) -> float:
        left = self._until - now
        if all(len(region.usable) < 2 for region in open_) or left < LAST * self.limits.seconds < inf:
            return left
        return FIRST_TURN * 2.0**turn if left == inf else FIRST_SHARE * left

    def _take_turn(self, regions: Sequence[Region], until: float) -> None:
        while not self._ended() and timer.now() <= until:
            parts = [part for region in regions for part in self._parts(region)]
            if not parts:
                return
            if self._workers > 1 and len(parts) > 1:
                self._share(parts, until)
                continue
            for k, part in enumerate(parts):
                now = timer.now()
                self._go_on(part, now + (until - now) / (len(parts) - k))

    def _go_on(self, part: Part, until: float) -> None:
        region, began = self.regions[part.region], timer.now()
        parallel = self._workers > 1

        def look(now: float) -> bool:
            return self._look(now) or (
                parallel and now - began > PARALLEL_FROM and self._many(region, part.kind)
            )

        region.go_on(part.kind, Watch(until, look))

    def _many(self, region: Region, kind: str) -> bool:
        """There is work for several processes."""
        attempt = region.attempts.get(kind)
        if attempt is None or attempt.search.whole:
            return False
        return sum(leaf.evidence is None for leaf in attempt.leaves()) >= 2 * self._workers

    # several processes

    @cached_property
    def _workers(self) -> int:
        return workers_for(self.limits.jobs) if FORKS else 1

    def _parts(self, region: Region) -> Iterator[Part]:
        kind, number = region.kind, self.regions.index(region)
        if kind is None or not region.left:
            return
        attempt = region.attempts.get(kind)
        count = 0 if attempt is None or attempt.search.whole else len(attempt.open)
        if self._workers < 2 or count < 2 * self._workers:
            yield Part(number, kind, None)
            return
        shares = min(SHARES * self._workers, count)
        for k in range(shares):
            yield Part(number, kind, tuple(range(k, count, shares)))

    def _share(self, parts: Sequence[Part], until: float) -> None:
        """Have processes do the parts, each for its share of the time."""
        left = until - timer.now()
        fair = (
            max(SLICE, left * self._workers / len(parts)) if any(p.branches is None for p in parts) else SLICE
        )
        try:
            with processes(partial(_work, self, min(fair, left)), self._workers) as pool:
                for part, worked in pool.as_done(parts, lambda: self._tick()):
                    self._take(part, worked)
        except WorkerDied:
            self._workers = 1

    def _tick(self) -> None:
        self._look(timer.now())

    def work(self, part: Part, seconds: float) -> Worked:
        """In a process of its own: one part."""
        region = self.regions[part.region]
        self.report, self.journal, self._alone = None, None, True
        watch = Watch(timer.now() + seconds, lambda _: False)
        began = part.kind not in region.attempts
        attempt = region.attempt(part.kind, watch)
        if attempt is None:
            return Worked((), (), impossible=True)
        roots, open_ = list(attempt.roots.values()), attempt.open
        if part.branches is not None:
            roots = open_ = [attempt.open[k] for k in part.branches]
            attempt.search.share()
        own, before = replace(attempt, open=open_), attempt.search.passes
        own.go_on(watch)
        leaves = [Leaf.of(leaf) for root in roots for leaf in root.leaves()]
        candidates = list(attempt.search.candidates)
        attempt.search.candidates.clear()
        passes = attempt.search.passes - before
        return Worked(leaves, candidates, own.frame if began else None, stuck=own.stuck, passes=passes)

    def _take(self, part: Part, worked: Worked) -> None:
        region = self.regions[part.region]
        if worked.impossible:
            region.impossible.add(part.kind)
            return
        whole = part.branches is None
        region.take(part.kind, worked.leaves, worked.frame, worked.stuck, worked.passes, whole)
        self._candidates += worked.candidates

    # while it runs

    _alone = False
    _looked = _saved = _attacked = -inf
    _pause = 1.0

    @cached_property
    def _candidates(self) -> list[Floats]:
        return []

    @cached_property
    def _kept(self) -> set[tuple[str, Branch]]:
        """Closed leaves that are in the journal."""
        return set()

    def _look(self, now: float) -> bool:
        """Tell, save and attack when it is time to; whether the search is to end."""
        if self._alone:
            return False
        if now - self._looked > BEAT:
            self._tell(now)
            self._attack(now)
            if now - self._saved > SAVE:
                self._save()
                self._saved = now
            self._looked = timer.now()
        return self._witness is not None or self._is_full

    def _tell(self, now: float) -> None:
        if self.report is not None:
            open_, closed, worst = self._standing()
            self.report(Standing("search", open_, closed, worst, self._until - now))

    def _attack(self, now: float) -> None:
        """From points of open branches, every now and then; in the first such pause, what takes longer too."""
        elapsed = now - self._start
        if elapsed < self._pause:
            return
        first, self._pause = self._pause == 1.0, 2 * self._pause
        until = now + max(ATTACK_SHARE * elapsed, LEAST_ATTACK)
        for region in self.regions:
            for attempt in region.attempts.values():
                self._candidates += attempt.search.candidates
                attempt.search.candidates.clear()
        starts = self._candidates[-CANDIDATES:]
        self._candidates.clear()
        self._witness = (self.refuter.near(starts, until) if starts else None) or (
            self.refuter.thorough(until) if first else None
        )

    def _standing(self) -> tuple[int, int, float]:
        leaves = [leaf for region in self.regions for _, leaf in region.leaves()]
        untried = sum(len(region.left) for region in self.regions if not region.attempts)
        open_ = [leaf.bound for leaf in leaves if leaf.evidence is None]
        worst = min([*open_, *([-inf] if untried else [])], default=inf)
        return len(open_) + untried, len(leaves) - len(open_), worst

    def _save(self, *, final: bool = False) -> None:
        if self.journal is None or "regions" not in vars(self):
            return
        rows = []
        for region in self.regions:
            for kind, leaf in region.leaves():
                if leaf.evidence is not None and (kind, leaf) not in self._kept:
                    self._kept.add((kind, leaf))
                    rows.append(written(kind, Leaf.of(leaf)))
                elif final and leaf.evidence is None and leaf.path:
                    rows.append(written(kind, Leaf.of(leaf)))
        if rows:
            self.journal.append("branches", rows)

    def _unknown(self, why: str) -> Unknown:
        open_, closed, worst = self._standing() if "regions" in vars(self) else (0, 0, -inf)
        if not why:
            over = "no box is left" if self._is_full else GAVE_UP
            why = TIME_IS_OVER if timer.now() > self._until else over
        return Unknown(worst, open_, closed, why)

    # check and repair

    def _trees(self) -> tuple[list[Branch], list[Frame]]:
        """A tree and its frame for each disjunct; of the empty ones, that nothing reads, a leaf and any frame."""
        found: dict[int, tuple[Branch, Frame]] = {}
        plain = {per_leaf: Frame(per_leaf_bounds=per_leaf) for per_leaf in (False, True)}
        for region in self.regions:
            frames = {kind: attempt.frame for kind, attempt in region.attempts.items()}
            for kind, frame in frames.items():  # one object for all that say nothing of their own
                if not frame.columns and not frame.intermediate:
                    frames[kind] = plain[frame.per_leaf_bounds]
            for d in region.disjuncts:
                kind = region.done[d]
                found[d] = region.attempts[kind].roots[d], frames[kind]
        some = next((frame for _, frame in found.values()), plain[False])
        pairs = [found.get(d, (Branch(d), some)) for d in range(len(self.claim.query.disjuncts))]
        return [root for root, _ in pairs], [frame for _, frame in pairs]

    def _refused(
        self, guidance: Guidance, roots: Sequence[Branch], hard: float
    ) -> list[tuple[Branch, float]] | str:
        """(leaf, margin) of those that the check does not certify; or why it did not end."""
        plan = planned(self.claim, guidance, Settings(deployed=self.limits.deployed))
        left = None if hard == inf else max(0.0, hard - timer.now())
        run = run_leaves(plan, self.limits.jobs, Deadline(left, self.limits.memory_mib), self._told, None)
        if run.stopped:
            return f"the check of the proof {run.stopped}"
        leaves = [leaf for d, root in enumerate(roots) if not plan.is_empty(d) for leaf in root.leaves()]
        return [(leaves[o.rank], o.margin) for o in run.outcomes if not o.certified]

    def _told(self, progress: Progress) -> None:
        if self.report is not None:
            done, total = progress.leaves_done, progress.leaves_total
            self.report(Standing("check", total - done, done, progress.worst_margin or inf, inf))

    def _reopen(self, refused: Sequence[tuple[Branch, float]], *, first: bool) -> None:
        """Open the leaves again. For float32 executions, what rounding took is asked for in advance from now on."""
        raised = first and self.limits.deployed is not None
        by_region: dict[int, list[Branch]] = {}
        for branch, margin in refused:
            number = next(k for k, region in enumerate(self.regions) if branch.disjunct in region.disjuncts)
            by_region.setdefault(number, []).append(branch)
            if raised and branch.evidence is not None and np.isfinite(margin):
                search = self.regions[number].attempts[self.regions[number].done[branch.disjunct]].search
                search.margin = max(search.margin, SPARE * self._short(branch, margin))
        for number, branches in by_region.items():
            self.regions[number].reopen(branches, refused=not raised)

    def _short(self, branch: Branch, margin: float) -> float:
        """How much of the bound the check took, relative to the sizes of the numbers in the disjunct's constraints."""
        evidence = branch.evidence
        if evidence is None:
            return 0.0
        constraints = self.claim.query.disjuncts[branch.disjunct].constraints
        size = sum(
            w * (abs(float_near(c.bound)) + sum(abs(float_near(q)) for _, q in (*c.inputs, *c.outputs)))
            for k, w in evidence.weights.items()
            for c in (constraints[k],)
        )
        return (evidence.bound - margin) / size if size > 0 else 0.0


def searches() -> Mapping[str, Callable[[Engine, UnsatClaim, Sequence[int]], Search]]:
    """The searches by kind; tests put others in their place."""
    from tlcheck.prover.input_search import InputSearch
    from tlcheck.prover.staged_neurons import StagedNeurons

    return {INPUTS: InputSearch, NEURONS: StagedNeurons}


def _work(prover: Prover, seconds: float, part: Part) -> Worked:
    return prover.work(part, seconds)
