"""What is asserted. A claim is what a verdict is about; its evidence is in ``guidance.py`` or is a witness point."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Query


@dataclass(frozen=True, eq=False)
class UnsatClaim:
    """No point of any disjunct of ``query`` exists, for the function ``graph`` denotes."""

    graph: Graph
    query: Query
    kind: ClassVar[str] = "unsat"

    def __post_init__(self) -> None:
        _check_sizes(self.graph, self.query)


@dataclass(frozen=True, eq=False)
class SatClaim:
    """``witness`` (exact rationals, flat inputs) lies in some disjunct of ``query``."""

    graph: Graph
    query: Query
    witness: tuple[Fraction, ...]
    kind: ClassVar[str] = "sat"

    def __post_init__(self) -> None:
        _check_sizes(self.graph, self.query)
        if len(self.witness) != self.graph.n_inputs:
            raise ValueError(
                f"witness has {len(self.witness)} values, the network {self.graph.n_inputs} inputs"
            )


def _check_sizes(graph: Graph, query: Query) -> None:
    if graph.n_inputs != query.n_inputs:
        raise ValueError(f"query has {query.n_inputs} input variables, the network {graph.n_inputs}")
    if graph.n_outputs != query.n_outputs:
        raise ValueError(f"query has {query.n_outputs} output variables, the network {graph.n_outputs}")
