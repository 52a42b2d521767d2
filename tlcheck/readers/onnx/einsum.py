"""Einsum of one or two operands, as sums, transpositions and one product of matrices.

Letters fall into four groups: shared and kept (batch), only of the first and kept (rows), only of the second and kept
(columns), shared and summed. A letter of one operand that is not kept is summed first.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.matrices import product
from tlcheck.readers.onnx.operands import Value
from tlcheck.readers.onnx.reductions import sum_over


def einsum(call: Call) -> list[Value]:
    terms, kept = _parsed(call)
    sizes = _sizes(call, terms)
    operands = []
    for i, term in enumerate(terms):
        others = "".join(t for j, t in enumerate(terms) if j != i)
        operands.append(_summed(call, call.value(i), term, kept + others))
    if len(operands) == 1:
        (x, letters), shared = operands[0], ""
        y = x
    else:
        (a, left), (b, right) = operands
        batch = "".join(c for c in left if c in right and c in kept)
        shared = "".join(c for c in left if c in right and c not in kept)
        rows = "".join(c for c in left if c not in right)
        columns = "".join(c for c in right if c not in left)

        def count(group: str) -> int:
            return prod(sizes[c] for c in group)

        first = _ordered(call, a, left, batch + rows + shared)
        second = _ordered(call, b, right, batch + shared + columns)
        lead = () if not batch else (count(batch),)
        y = product(
            call,
            call.reshape(first, (*lead, count(rows), count(shared))),
            call.reshape(second, (*lead, count(shared), count(columns))),
        )
        letters = batch + rows + columns
        y = call.reshape(y, tuple(sizes[c] for c in letters))
    return [_ordered(call, y, letters, kept)]


def _parsed(call: Call) -> tuple[list[str], str]:
    """Each operand's letters, and the result's (without "->": letters that occur once, sorted)."""
    text = call.attr_str("equation", "").replace(" ", "")
    left, arrow, kept = text.partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    if not arrow:
        kept = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if (
        len(terms) != call.n_inputs
        or len(terms) > 2
        or not all(c.isascii() and c.isalpha() for c in letters + kept)
    ):
        raise call.unsupported(f"equation {text[:80]!r} of {call.n_inputs} operands")
    if any(len(set(t)) != len(t) for t in (*terms, kept)) or not set(kept) <= set(letters):
        raise call.unsupported(f"equation {text[:80]!r}: a letter twice in a term, or not in any operand")
    return terms, kept


def _sizes(call: Call, terms: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    values = call.values()
    call.same_type(*values)
    call.require_float(*values)
    for x, term in zip(values, terms, strict=True):
        call.refuse_shape(len(x.shape) != len(term), f"term {term} for operand {x.shape}")
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n or n == 0:
                raise call.misshapen(f"letter {letter} has size {n} and {sizes[letter]}")
    return sizes


def _summed(call: Call, x: Value, letters: str, needed: str) -> tuple[Value, str]:
    """x summed over the letters that nothing else needs."""
    axes = tuple(a for a, c in enumerate(letters) if c not in needed)
    if not axes:
        return x, letters
    return sum_over(call, call.data(x), axes, False), "".join(c for c in letters if c in needed)


def _ordered(call: Call, x: Value, letters: str, wanted: str) -> Value:
    order = [letters.index(c) for c in wanted]
    return call.move(x, lambda a: np.transpose(a, order))
