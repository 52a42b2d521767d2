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
    needed = [kept + "".join(terms[:i] + terms[i + 1 :]) for i in range(len(terms))]
    operands = [
        _summed(call, call.value(i), t, n) for i, (t, n) in enumerate(zip(terms, needed, strict=True))
    ]
    y, letters = operands[0] if len(operands) == 1 else _multiplied(call, operands, sizes, kept)
    return [_ordered(call, y, letters, kept)]


def _parsed(call: Call) -> tuple[list[str], str]:
    """Each operand's letters, and the result's (without "->": letters that occur once, sorted)."""
    text = call.attr_str("equation", "").replace(" ", "")
    left, arrow, kept = text.partition("->")
    terms = left.split(",")
    letters, shown = "".join(terms), f"equation {text[:80]!r}"
    if not arrow:
        kept = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    plain = all(c.isascii() and c.isalpha() for c in letters + kept)
    unread = len(terms) != call.n_inputs or len(terms) > 2 or not plain
    call.refuse(unread, f"{shown} of {call.n_inputs} operands")
    unread = any(len(set(t)) != len(t) for t in (*terms, kept)) or not set(kept) <= set(letters)
    call.refuse(unread, f"{shown}: a letter twice in a term, or not in any operand")
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


def _multiplied(
    call: Call, operands: list[tuple[Value, str]], sizes: dict[str, int], kept: str
) -> tuple[Value, str]:
    """The two operands' product as matrices, and its letters."""
    (a, left), (b, right) = operands
    both = [c for c in left if c in right]
    batch, shared = "".join(c for c in both if c in kept), "".join(c for c in both if c not in kept)
    rows, columns = "".join(c for c in left if c not in right), "".join(c for c in right if c not in left)
    first, second = (batch, rows, shared), (batch, shared, columns)
    ordered = _ordered(call, a, left, "".join(first)), _ordered(call, b, right, "".join(second))
    factors = (_grouped(call, x, groups, sizes) for x, groups in zip(ordered, (first, second), strict=True))
    letters = batch + rows + columns
    return call.reshape(product(call, *factors), tuple(sizes[c] for c in letters)), letters


def _grouped(call: Call, x: Value, groups: tuple[str, ...], sizes: dict[str, int]) -> Value:
    """x with one axis for each group of letters, but for the batch's when it has none."""
    shape = tuple(prod(sizes[c] for c in group) for group in groups)
    return call.reshape(x, shape if groups[0] else shape[1:])


def _ordered(call: Call, x: Value, letters: str, wanted: str) -> Value:
    order = [letters.index(c) for c in wanted]
    return call.move(x, lambda a: np.transpose(a, order))
