"""Claims of a bundle about two networks: both are read, each from the file of its role, and joined to one graph.

Guarantee: the claim of ring 0 is about ``joined`` of ``model`` and ``other`` and the query of ``apart``, over the closed boxes of
the property's disjuncts, all of them; what the property says of outputs, or of several inputs together, is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tlcheck.errors import InvalidInput
from tlcheck.readers.bundle.evidence import CoverMissing, read_guidance
from tlcheck.readers.bundle.manifest import Differ, Equiv
from tlcheck.readers.bundle.queries import Queries, witness_of
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.vnnlib.two_models import joined
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

ONE = Fraction(1)


def load_pair(queries: Queries, claim: Equiv | Differ, name: str, *, real: bool) -> LoadedClaim:
    """``real``: of the exact functions only, so that what both networks have is there once. Raises InvalidInput."""
    bundle = queries.bundle
    if queries.given_model is not None:
        raise InvalidInput(
            "TLC103", "the claim is about two networks of the bundle: leave --model out",
            file=str(queries.given_model), field="--model",
        )  # fmt: skip
    (a, ours), (b, theirs) = queries.model_of(claim.model), queries.model_of(claim.other)
    region, about = queries.property_of(claim.property, claim.model, a)
    within = exact_number(claim.within, field="within")
    query = apart(a.n_outputs, boxes_of(region), within)
    others = {f"other{role.removeprefix('model')}": sha for role, sha in theirs.items()}
    sources = {"manifest": bundle.sha256, **ours, **others, **about}
    proved = isinstance(claim, Equiv)
    names = bundle.where(claim.model), bundle.where(claim.other)
    graph = joined(a, b, names, aligned=proved, shared=proved and real)
    said = ("equiv" if proved else "differ", statement(claim.within, proved))
    if isinstance(claim, Differ):
        witness = SatClaim(graph, query, witness_of(claim.witness, graph))
        return LoadedClaim(name, witness, None, sources, bundle.producer, said=said)
    evidence, version = claim.evidence, bundle.manifest.version
    arrays, groups = queries.arrays_of(evidence.arrays)
    sources["arrays"] = bundle.manifest.files[evidence.arrays].sha256
    unsat = UnsatClaim(graph, query)
    try:
        guidance = read_guidance(evidence, version, arrays, groups[evidence.prefix], graph, query)
    except CoverMissing as problem:
        problem_ = "TLC017", str(problem)
        return LoadedClaim(name, unsat, None, sources, bundle.producer, problem_, said=said)
    return LoadedClaim(name, unsat, guidance, sources, bundle.producer, said=said)


def statement(within: str, proved: bool) -> str:
    """What is claimed, in words."""
    if proved:
        return f"no output of model differs from that of other by more than {within}, at any input of the box"
    return (
        f"at the witness, in the box, some output of model differs from that of other by more than {within}"
    )


def boxes_of(query: Query) -> list[InputBox]:
    """The distinct boxes of a property's disjuncts, in their order. Raises InvalidInput TLC304: none, or one that is empty."""
    boxes = list(dict.fromkeys(d.box for d in query.disjuncts))
    if not boxes or any(a > b for box in boxes for a, b in zip(box.lower, box.upper, strict=True)):
        raise InvalidInput(
            "TLC303", "no box of inputs, or an empty one: nothing would be claimed", field="property"
        )
    return boxes


def apart(n: int, boxes: Sequence[InputBox], within: Fraction) -> Query:
    """Some of the outputs y_0, .., y_(n-1) differs from y_n, .., y_(2n-1) at its place by more than ``within``.

    For each box and place two disjuncts, y_i - y_(n+i) > within and y_(n+i) - y_i > within: together, |y_i - y_(n+i)| > within.
    """
    disjuncts = [
        Disjunct(box, (LinearConstraint((), ((i, -sign), (n + i, sign)), -within, strict=True),))
        for box in boxes
        for i in range(n)
        for sign in (ONE, -ONE)
    ]
    return Query(boxes[0].size, 2 * n, tuple(disjuncts))
