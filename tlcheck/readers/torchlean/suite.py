"""MNIST-FC suites of TorchLean: one unsat claim an instance, with bounds recomputed from the weights.

The unsafe set of an instance is the union over its terms of {y : mat y <= rhs}, over the input box. The weights are a dense
ReLU network, beside the suite when it names them (``weights``), else given with --model. Slopes (``alphas``, beside the suite,
or given with --property) belong to the k-th ReLU under the key 2 k, one list a term. Which row of a term is bounded is a
choice that needs no trust: the one with the greatest bound in a float64 pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Raw, Struct
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DISJUNCTS
from tlcheck.options import Options
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.networks import ModelFile, read_network
from tlcheck.readers.torchlean.numbers import EndLists, Read, intervals, number_reader
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.conditions import ends
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, Guidance, LeafSlopes, Leaves, Tree
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.science.row_bounds import Rows

ALPHA_FORMAT: Final = "mnist_fc_crownobj_alpha_v0_1"


class Term(Struct, frozen=True):
    mat: list[list[Raw]]
    rhs: list[Raw]


class Instance(Struct, frozen=True):
    id: Annotated[int, Meta(ge=0)]
    input_lo: list[Raw]
    input_hi: list[Raw]
    spec: list[Term]


class Suite(Struct, frozen=True):
    instances: Annotated[list[Instance], Meta(min_length=1)]
    weights: ModelFile | None = None
    alphas: ModelFile | None = None


class Alpha(Struct, frozen=True):
    id: Annotated[int, Meta(ge=0)]
    alpha: dict[str, list[list[float]]]


class Alphas(Struct, frozen=True):
    format: str
    instances: list[Alpha]


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """Raises InvalidInput TLC101, TLC102, TLC104, TLC105, TLC106, TLC401, TLC402, and what reading a model raises."""
    suite = decode(data, Suite, files.where)
    if sum(len(i.spec) for i in suite.instances) > MAX_DISJUNCTS:
        raise InvalidInput("TLC401", "too many terms", field="instances", expected=f"at most {MAX_DISJUNCTS}")
    graph = read_network(files, options, suite.weights, "weights")
    alphas = _alphas(suite, files, options)
    if len({i.id for i in suite.instances}) != len(suite.instances):
        raise InvalidInput("TLC101", "two instances of one id", field="instances")
    unknown = alphas.keys() - {i.id for i in suite.instances}
    if unknown:
        raise InvalidInput(
            "TLC104",
            "slopes of an instance that the suite does not have",
            field="alphas",
            got=str(min(unknown)),
        )
    network, numbers = Network(graph), number_reader(options.decimals)
    claims = []
    for k, instance in enumerate(suite.instances):
        query = _query(instance, graph, numbers, f"instances[{k}]")
        guidance = _guidance(network, query, alphas.get(instance.id))
        claims.append(
            LoadedClaim(f"instance {instance.id}", UnsatClaim(graph, query), guidance, files.sources)
        )
    return claims


def _alphas(suite: Suite, files: Files, options: Options) -> dict[int, Alpha]:
    data = files.given(options.property, "alphas")
    if data is None and suite.alphas is not None:
        data = files.read(suite.alphas.file, "alphas", suite.alphas.sha256)
    if data is None:
        return {}
    read = decode(data, Alphas, files.where)
    if read.format != ALPHA_FORMAT:
        raise InvalidInput(
            "TLC102",
            "not slopes of a suite",
            field="format",
            expected=ALPHA_FORMAT,
            got=ascii(read.format[:60]),
        )
    return {a.id: a for a in read.instances}


def _query(instance: Instance, graph: Graph, numbers: Read, field: str) -> Query:
    ends = intervals(EndLists(instance.input_lo, instance.input_hi), numbers, field, graph.n_inputs)
    for i, (low, high) in enumerate(ends):
        if low > high:
            raise InvalidInput("TLC101", "lower end above upper end", field=f"{field}.input_lo[{i}]")
    box = InputBox(tuple(l for l, _ in ends), tuple(u for _, u in ends))
    if not instance.spec:  # vacuously safe; a gate that asks nothing must not pass
        raise InvalidInput("TLC101", "an instance without a specification", field=f"{field}.spec")
    terms = [_constraints(term, graph, numbers, f"{field}.spec[{t}]") for t, term in enumerate(instance.spec)]
    return Query(graph.n_inputs, graph.n_outputs, tuple(Disjunct(box, rows) for rows in terms))


def _constraints(term: Term, graph: Graph, numbers: Read, field: str) -> tuple[LinearConstraint, ...]:
    if len(term.mat) != len(term.rhs):
        raise InvalidInput(
            "TLC101", "one right side a row", field=f"{field}.rhs", expected=str(len(term.mat))
        )
    rows = []
    for r, (row, rhs) in enumerate(zip(term.mat, term.rhs, strict=True)):
        if len(row) != graph.n_outputs:
            raise InvalidInput(
                "TLC104",
                "not one coefficient an output",
                field=f"{field}.mat[{r}]",
                expected=str(graph.n_outputs),
            )
        values = [numbers(v, f"{field}.mat[{r}][{j}]") for j, v in enumerate(row)]
        outputs = tuple((j, q) for j, q in enumerate(values) if q)
        rows.append(LinearConstraint((), outputs, numbers(rhs, f"{field}.rhs[{r}]")))
    return tuple(rows)


# Guidance: one leaf a term.


def _guidance(network: Network, query: Query, alpha: Alpha | None) -> Guidance:
    n = len(query.disjuncts)
    numbers, zeros = np.arange(n), np.zeros(n, np.int64)
    tree = Tree(np.full(n, LEAF, np.int64), zeros, zeros, np.zeros(n), numbers, zeros, numbers)
    chosen = _best_rows(network, query)
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    weighted = np.array([r is not None for r in chosen], np.int64)
    leaves = Leaves(
        np.concatenate([[0], np.cumsum(weighted)]), np.array([r for r in chosen if r is not None], np.int64),
        np.ones(int(weighted.sum())), np.zeros(n + 1, np.int64), none, none, none, nothing, nothing, np.full(n, np.nan),
    )  # fmt: skip
    return Guidance(tree, leaves, leaf_slopes=_slopes(network.graph, n, alpha))


def _slopes(graph: Graph, terms: int, alpha: Alpha | None) -> Mapping[int, LeafSlopes]:
    found: dict[int, LeafSlopes] = {}
    activations = {
        str(2 * (k + 1)): i
        for k, i in enumerate(j for j, n in enumerate(graph.nodes) if isinstance(n.op, Relu))
    }
    for key, rows in (alpha.alpha if alpha is not None else {}).items():
        size = graph.nodes[activations[key]].size if key in activations else -1
        if len(rows) != terms or any(len(row) != size for row in rows):
            raise InvalidInput(
                "TLC104", "slopes do not fit the ReLU layers and terms", field=f"alpha.{key}"[:60]
            )
        slopes: NDArray[np.float64] = np.array(rows, np.float64)
        if not bool(((slopes >= 0) & (slopes <= 1)).all()):
            raise InvalidInput("TLC105", "a slope outside [0, 1]", field=f"alpha.{key}"[:60])
        found[activations[key]] = LeafSlopes(np.arange(size), slopes.reshape(terms, size), None)
    return found


def _best_rows(network: Network, query: Query) -> list[int | None]:
    """For each term, the row with the greatest lower bound; None where it has no rows."""
    rows = [len(d.constraints) for d in query.disjuncts]
    if all(n <= 1 for n in rows):
        return [0 if n else None for n in rows]
    bounds = iter(_row_bounds(network, query))
    return [max(range(n), key=[next(bounds) for _ in range(n)].__getitem__) if n else None for n in rows]


def _row_bounds(network: Network, query: Query) -> list[float]:
    """Lower bounds of mat y - rhs for all rows of all terms."""
    constraints = [c for d in query.disjuncts for c in d.constraints]
    rows = np.zeros((1, len(constraints), query.n_outputs))
    for r, c in enumerate(constraints):
        for j, q in c.outputs:
            rows[0, r, j] = _double(q)
    box = query.disjuncts[0].box
    if network.without_relaxation is not None or len(network.graph.outputs) != 1:
        return [0.0] * len(constraints)
    lower, upper = (np.array([[_double(q) for q in end]]) for end in (box.lower, box.upper))
    found = Rows(network, Ball64()).bounds(lower, upper, rows)[0].tolist()
    return [low - _double(c.bound) for low, c in zip(found, constraints, strict=True)]


def _double(q: Fraction) -> float:
    """Near q: only for a choice."""
    return ends(q)[0] or 0.0
