"""Stability of a closed loop by a Lyapunov candidate: what is claimed, the tree that proves it, and the theorems.

x+ = F(x) (discrete) or x' = F(x) (continuous), V continuous, B a box (``region``), r = ``level``, S = {x in B: V(x)
<= r}, k = ``decay``.

**Condition**, for every x in S:

    discrete     x+ in B, and   asymptotic: V(x+) <= (1 - k) V(x);
                                practical, invariant: V(x+) <= max(c, (1 - k) V(x))
    continuous   x is not on B's boundary; F is Lipschitz near x; and V' < 0 at x if V(x) >= c (asymptotic: if x != e)

with c = ``inner`` (r itself for invariant). V' < 0: g . F(x) < 0 for every Clarke gradient g of V at x.

**Theorem, asymptotic.** Hypotheses, each checked: e in B's interior; F(e) = e (or 0), exactly; V(e) = 0 and V > 0
elsewhere; r > 0; discrete: 0 < k <= 1; the condition. Then e is asymptotically stable, S is invariant, and every
trajectory from S tends to e: S is in the region of attraction. *Proof, discrete.* S is invariant: x+ in B, V(x+) <=
V(x) <= r. V(x_j) <= (1 - k)^j V(x_0) tends to 0. Outside a ball around e, V has a positive minimum on the compact S,
so x_j enters every ball for good. Stability: for a ball, let m > 0 be that minimum; from the neighbourhood {V <
min(m, r)} of e, a subset of S in which V never grows, no trajectory leaves the ball (V is continuous, V(e) = 0).
*Continuous.* A trajectory from S exists locally, is unique, and cannot leave S: V never grows along it while in S
(Lebourg: V o x has an upper derivative of at most max g . F < 0), and S is in the open interior of B, closed. So it
stays in a compact set, exists for all time, and V falls strictly but at e. On S without a ball around e, compact, max
g . F <= -d < 0 (the Clarke gradient is upper semicontinuous), so each ball is entered; the rest as above.

**Theorem, practical (to level c).** Hypotheses: 0 < c < r, the condition, discrete: 0 < k <= 1. Then {V <= c} and S
are invariant, and every trajectory from S enters {V <= c} in finite time and stays. *Proof.* Discrete: V(x_j) <=
max(c, (1 - k)^j r). Continuous: where V >= c, max g . F <= -d < 0 by compactness, so V reaches c by time (r - c)/d,
and cannot rise through c; nor through r.

**Theorem, invariant.** Hypotheses: the condition with c = r >= 0 (discrete: 0 <= k <= 1). Then S is invariant.
*Proof.* As above. The last two say nothing about an equilibrium, nor that trajectories settle. (S or {V <= c} may be
empty; then they say nothing.)

**Proof of the condition.** A binary tree cuts B across coordinates; both halves are kept closed, so the leaves cover
B whatever the cuts. A leaf's tag says which of these is checked on its whole box, from jets of V, F and V o F
(``by_signs``):

    o  V > r                              (nothing is claimed there)
    d  discrete: (1 - k) V(x) - V(x+) >= 0, x+ in B;   continuous: V' < 0
    i  discrete: V(x+) <= c, x+ in B;                  continuous: V < c, F Lipschitz;   never in an asymptotic claim
    p  discrete: where V(x) <= r, x+ in B, and (1 - k) V(x) - V(x+) >= 0 or, but in an asymptotic claim, V(x+) <= c;
       piece by piece (``stability_by_pieces``), and on each piece one of the two: for piecewise linear V, whose kinks cost
       the others much
    c  the box lies in the core (asymptotic only): the core lemma, core_lemma.py; its F(C) in B
    e  the box is empty: a cut outside it

Continuous: every leaf's faces on B's boundary satisfy V > r too. When V = sigmoid(N) alone, N takes V's part in
continuous time, levels becoming logit(c), logit(r): the sigmoid is increasing, its slope positive.

A point that violates the condition, evaluated as a point, refutes the claim: ``points`` of the certificate, and the
centre of each leaf that fails, are tried; so does an e that is certainly no equilibrium. Nothing else does: a
hypothesis, leaf or core that fails leaves the claim unproved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.trusted.calculus.expression import variables
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.calculus.written import number_text, point_text
from tlcheck.trusted.conditions import Check, fact, met, undecided
from tlcheck.trusted.science.closed_loop import Loop
from tlcheck.trusted.science.lyapunov_candidate import Candidate

ASYMPTOTIC, PRACTICAL, INVARIANT = "asymptotically stable", "practically stable", "invariant only"
STATEMENTS: Final = (ASYMPTOTIC, PRACTICAL, INVARIANT)

EXACTLY: Final = "the equilibrium is one, exactly"


@dataclass(frozen=True)
class Conditions:
    """The conditions of a claim without its tree: what a finder needs too. Fields: module docstring."""

    statement: str
    loop: Loop
    candidate: Candidate
    region: Box
    level: Fraction
    decay: Fraction = Fraction(0)
    inner: Fraction | None = None
    core: Box | None = None

    def __post_init__(self) -> None:
        n = len(self.region)
        if not n or {len(self.loop.states), len(self.loop.equations), len(self.candidate.centre)} != {n}:
            raise ValueError("states, equations, equilibrium and region must have one dimension")
        if any(a >= b for a, b in self.region):
            raise ValueError("the region must have an interior")
        known = set(self.loop.states)
        for block in self.loop.blocks:
            if any(not variables(e) <= known for e in (*block.inputs, *block.minus)):
                raise ValueError("a network's input names something that is not defined before it")
            if known & set(block.names) or len(set(block.names)) != len(block.names):
                raise ValueError("a name is defined twice")
            known |= set(block.names)
        if len(set(self.loop.states)) != n or any(not variables(e) <= known for e in self.loop.equations):
            raise ValueError("an equation names something that is not defined")
        if self.statement not in STATEMENTS:
            raise ValueError("unknown statement")
        if (self.inner is not None) != (self.statement == PRACTICAL) or (self.core is not None) > (
            self.statement == ASYMPTOTIC
        ):
            raise ValueError("an inner level belongs to practical stability, a core to asymptotic stability")
        if self.core is not None and (len(self.core) != n or any(a > b for a, b in self.core)):
            raise ValueError("the core does not fit the region")
        if not self.loop.discrete and self.decay:
            raise ValueError("decay is for discrete time")

    @property
    def low_level(self) -> Fraction:
        """c: what ``inner`` stands for."""
        return self.level if self.inner is None else self.inner

    def hypotheses(self) -> Iterator[Check]:
        """The theorem's, except the condition; exact. Only a point that is no equilibrium makes the claim false."""
        e, n = self.candidate.centre, len(self.region)
        level, inner, decay = (number_text(q) for q in (self.level, self.low_level, self.decay))
        if self.statement == ASYMPTOTIC:
            yield met(
                "the equilibrium lies in the region's interior",
                all(a < q < b for (a, b), q in zip(self.region, e, strict=True)),
                f"equilibrium = {point_text(e)}",
            )
            value = self.loop.exact(e)
            rest = e if self.loop.discrete else (Fraction(0),) * n
            if value is None:
                yield undecided(EXACTLY, f"{point_text(e)}, where rational arithmetic does not give F")
            else:
                yield fact(EXACTLY, value == rest, point_text(e))
            yield met("V(e) = 0 and V > 0 elsewhere", self.candidate.definite, f"V = {self.candidate.text}")
            yield met("level > 0", self.level > 0, f"level = {level}")
        elif self.statement == PRACTICAL:
            yield met(
                "0 < inner_level < level",
                0 < self.low_level < self.level,
                f"inner_level = {inner}, level = {level}",
            )
        else:
            yield met("level >= 0", self.level >= 0, f"level = {level}")
        if self.loop.discrete:
            low = "0 <=" if self.statement == INVARIANT else "0 <"
            above = self.decay >= 0 if self.statement == INVARIANT else self.decay > 0
            yield met(f"{low} decay <= 1", above and self.decay <= 1, f"decay = {decay}")
