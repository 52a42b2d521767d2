"""Networks of one variable on series."""

from __future__ import annotations

from tlcheck.trusted.arith.arb import arb_mat
from tlcheck.trusted.calculus.layers import ScalarNetwork
from tlcheck.trusted.calculus.series import FUNCTIONS, Function, Series


def compiled(network: ScalarNetwork) -> Function:
    """The network on series, its weights as balls at the working precision."""
    steps = [(*layer.balls(), FUNCTIONS[layer.activation]) for layer in network.layers]

    def run(t: Series) -> Series:
        rows, n = [t], len(t)
        for weight, bias, activation in steps:
            entries = (weight * arb_mat(len(rows), n, [c for row in rows for c in row])).entries()
            rows = [
                activation([entries[k * n] + b, *entries[k * n + 1 : (k + 1) * n]])
                for k, b in enumerate(bias)
            ]
        return rows[0]

    return run
