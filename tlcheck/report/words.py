"""A claim in words: what a CERTIFIED verdict would say. Exact: no number is rounded, what is left out is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from tlcheck.readers.own.lyapunov_specs import told
from tlcheck.report.numerals import SHOWN_INPUTS, number, point
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint

SHOWN_DISJUNCTS: Final = 12
SHOWN_REGIONS: Final = 4
"""Of sets over different regions; those over a region shown already are short."""
SHOWN_CONSTRAINTS: Final = 12
SHOWN_TERMS: Final = 12


def claim_lines(claim: UnsatClaim | SatClaim | ConditionClaim, guidance: Guidance | None) -> list[str]:
    """The claim, its regions and its evidence, a line each, indented by what belongs to what."""
    if isinstance(claim, ConditionClaim):
        return [*_networks(claim), f"claim ({claim.kind}): {claim.statement}", *_cover(claim)]
    disjuncts = claim.query.disjuncts
    lines = [f"network: {_network(claim.graph)}"]
    if isinstance(claim, SatClaim):
        lines.append(f"claim (sat): the input x = {point(claim.witness)} lies in one of the sets below")
    elif not disjuncts:
        lines.append("claim (unsat): the property describes no point at all")
    else:
        lines.append(
            "claim (unsat): with y the network's output for the input x, no x lies in any of the sets below"
        )
    regions: dict[Region, int] = {}
    for position, disjunct in enumerate(disjuncts[:SHOWN_DISJUNCTS], start=1):
        lines += _disjunct(position, disjunct, regions)
        if len(regions) >= SHOWN_REGIONS:
            break
    lines += _left_out(len(disjuncts) - position if disjuncts else 0, "set")
    if isinstance(claim, UnsatClaim) and (says := told(claim.query, claim.graph)):
        lines += ["read as a Lyapunov query, that says:", *(f"  {sentence}" for sentence in says)]
    if guidance is not None:
        lines.append(f"evidence: {_evidence(claim.graph, guidance)}")
    return lines


def _networks(claim: ConditionClaim) -> list[str]:
    """Of claims over a whole domain, whose networks have any shape; the others' sentences name theirs."""
    from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
    from tlcheck.trusted.science.solution_error import SolutionErrorClaim

    match claim:
        case SupremumClaim() | IntegralClaim():
            return [f"network: {_network(claim.quantity.network.graph)}"]
        case SolutionErrorClaim():
            return [f"network: {_network(claim.amounts[0].quantity.network.graph)}"]
    return []


def _cover(claim: ConditionClaim) -> list[str]:
    """The evidence of claims over a whole domain: the cells, or leaves, that it is cut into."""
    from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
    from tlcheck.trusted.science.solution_error import SolutionErrorClaim
    from tlcheck.trusted.science.stability_claim import Stability

    match claim:
        case SupremumClaim() | IntegralClaim():
            return [f"evidence: {_counted(len(claim.cells), 'cell')}, Taylor models of order {claim.order}"]
        case SolutionErrorClaim():
            amounts = (f"{a.name} {_counted(len(a.cells), 'cell')} of order {a.order}" for a in claim.amounts)
            return [f"evidence: Taylor models, {', '.join(amounts)}"]
        case Stability():
            counts = claim.leaves
            kinds = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            return [f"evidence: {_counted(sum(counts.values()), 'box')}: {kinds}"]
    return []


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{('es' if noun.endswith('x') else 's') * (n != 1)}"


def _network(graph: Graph) -> str:
    kinds = Counter(type(node.op).__name__ for node in graph.nodes)
    operations = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    sizes = ((graph.n_inputs, "input"), (graph.n_outputs, "output"), (len(graph.nodes), "operation"))
    return f"{', '.join(f'{n} {noun}' + 's' * (n != 1) for n, noun in sizes)} ({operations})"


Region = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]


def _disjunct(position: int, disjunct: Disjunct, regions: dict[Region, int]) -> list[str]:
    """The set; its region only where no set before has it (``regions``: where it was shown)."""
    lines = [f"  set {position}:"]
    first = regions.setdefault((disjunct.box.lower, disjunct.box.upper), position)
    lines += [
        f"    {line}" for line in (_box(disjunct.box) if first == position else [f"x as in set {first}"])
    ]
    lines += [f"    {constraint_text(constraint)}" for constraint in disjunct.constraints[:SHOWN_CONSTRAINTS]]
    return lines + [
        f"  {line}" for line in _left_out(len(disjunct.constraints) - SHOWN_CONSTRAINTS, "constraint")
    ]


def _box(box: InputBox) -> list[str]:
    pairs = list(zip(box.lower, box.upper, strict=True))
    lines = [
        f"{number(low)} <= x[{i}] <= {number(high)}" for i, (low, high) in enumerate(pairs[:SHOWN_INPUTS])
    ]
    fixed = sum(low == high for low, high in pairs)
    widest = max((high - low for low, high in pairs), default=Fraction(0))
    summary = (
        f"; {fixed} of all {len(pairs)} are fixed, the widest has width {number(widest)}: each is within "
        f"{number(widest / 2)} of the middle"
    )
    lines += _left_out(len(pairs) - SHOWN_INPUTS, "input", summary)
    return [line.strip() for line in lines]


def constraint_text(constraint: LinearConstraint) -> str:
    """``constraint`` as a formula."""
    terms = [(coefficient, f"x[{i}]") for i, coefficient in constraint.inputs]
    terms += [(coefficient, f"y[{j}]") for j, coefficient in constraint.outputs]
    text = _sum(terms[:SHOWN_TERMS])
    if len(terms) > SHOWN_TERMS:
        text += f" + ({len(terms) - SHOWN_TERMS} more terms)"
    return f"{text} {'<' if constraint.strict else '<='} {number(constraint.bound)}"


def _sum(terms: Sequence[tuple[Fraction, str]]) -> str:
    text = ""
    for coefficient, name in terms:
        size = "" if abs(coefficient) == 1 else f"{number(abs(coefficient))} "
        sign = "-" if coefficient < 0 else "+"
        text += f" {sign} {size}{name}" if text else f"{'-' if coefficient < 0 else ''}{size}{name}"
    return text or "0"


def _evidence(graph: Graph, guidance: Guidance) -> str:
    tree = guidance.tree
    nodes = tree.node[tree.kind == SPLIT]
    on_inputs = int(np.isin(nodes, graph.inputs).sum())
    leaves, trees = int((tree.kind == LEAF).sum()), tree.roots.size
    parts = [f"{leaves} {'leaf' if leaves == 1 else 'leaves'} in {trees} tree{'' if trees == 1 else 's'}"]
    parts.append(f"splits: {on_inputs} on inputs, {nodes.size - on_inputs} on neurons")
    regions = {id(part): part for part in (guidance, *guidance.own.values())}.values()
    layers = {node for part in regions for node in (*part.leaf_slopes, *part.shared_slopes)}
    parts.append(f"slopes in the deciding pass: {_layers(len(layers))}")
    targets = {target for part in regions for target, _ in part.intermediate}
    if targets:
        parts.append(f"slopes for intermediate bounds: {_layers(len(targets))}")
    beta = int((guidance.leaves.split_beta != 0).sum())
    if beta:
        parts.append(f"multipliers on splits: {beta}")
    return "; ".join(parts) + "; none of it is believed"


def _layers(count: int) -> str:
    return f"{count} layer{'' if count == 1 else 's'}"


def _left_out(count: int, word: str, more: str = "") -> list[str]:
    return [f"  ... and {count} more {word}{'' if count == 1 else 's'}{more}"] if count > 0 else []
