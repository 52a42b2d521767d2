"""Attention and MultiHeadAttention of com.microsoft, of the forms that onnxruntime's optimiser and tools write.

Guarantee: as ``attention``. A key that a mask hides has ``mask_filter_value`` added to its scores, a number: its weight is small,
not 0. A causal mask hides keys altogether.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import add_signed, in_a_sum
from tlcheck.readers.onnx.attention import attended, scaled_products
from tlcheck.readers.onnx.call import NO_FORM, Call
from tlcheck.readers.onnx.matrices import product
from tlcheck.readers.onnx.operands import Data, Known, Value

PAST = "keys and values that came before: give the graph of one pass"


def packed(call: Call) -> list[Value]:
    """Attention: of input (batch, length, width), whose queries, keys and values are products with one matrix, plus a bias."""
    x, weights, bias = call.value(0), call.value(1), call.optional(2)
    if bias is None:
        raise call.unsupported("no bias, at which onnxruntime's CPU kernel crashes: give zeros")
    _refuse_past(call, (4, 6), ("do_rotary", "past_present_share_buffer", "rotary_embedding_dim"))
    call.refuse_shape(
        len(x.shape) != 3 or len(weights.shape) != 2, f"operands of shapes {x.shape} and {weights.shape}"
    )
    total = weights.shape[1]
    sizes = call.attr_ints("qkv_hidden_sizes") or [total // 3] * 3
    heads = call.required_int("num_heads")
    fits = len(sizes) == 3 and min(sizes) > 0 and sum(sizes) == total and sizes[0] == sizes[1]
    fits = fits and heads > 0 and all(n % heads == 0 for n in sizes)
    call.refuse_shape(
        not fits or (bias is not None and bias.shape != (total,)),
        f"{heads} heads of parts {sizes} of {total}",
    )
    y = product(call, x, weights)
    y = (
        y
        if bias is None
        else add_signed(call, y, call.broadcast(in_a_sum(call, bias, x.shape[2] + 1), y.shape), 1)
    )
    ends = np.cumsum(sizes).tolist()
    parts = [call.move(y, lambda a, e=e, n=n: a[..., e - n : e]) for e, n in zip(ends, sizes, strict=True)]  # type: ignore[misc]
    return _result(call, [_split(call, p, heads) for p in parts], mask=3, bias=5)


def apart(call: Call) -> list[Value]:
    """MultiHeadAttention: of queries, keys and values (batch, length, width), to each of which its part of the bias is added."""
    q, k, v, bias = (call.optional(i) for i in range(4))
    _refuse_past(call, (6, 7, 8, 9), ())
    heads = call.required_int("num_heads")
    if k is None or v is None or q is None or len(q.shape) != 3:
        raise call.unsupported("queries, keys and values in one operand: onnxruntime's CPU has no such form")
    call.refuse_shape(
        heads < 1 or q.shape[2] % heads != 0 or len(k.shape) != len(v.shape), f"{heads} heads of {q.shape}"
    )
    call.refuse(len(k.shape) == 4 and bias is not None, "a bias beside keys of four axes", NO_FORM)
    call.refuse_shape(len(k.shape) not in (3, 4), f"keys of shape {k.shape}")
    widths = [x.shape[2] if len(x.shape) == 3 else x.shape[1] * x.shape[3] for x in (q, k, v)]
    call.refuse_shape(
        bias is not None and bias.shape != (sum(widths),), f"bias of shape {bias and bias.shape} for {widths}"
    )
    parts: list[Value] = []
    for x, n, end in zip((q, k, v), widths, np.cumsum(widths).tolist(), strict=True):
        part = None if bias is None else call.move(bias, lambda a, e=end, n=n: a[e - n : e])  # type: ignore[misc]
        total = x if part is None else add_signed(call, x, call.broadcast(part, x.shape), 1)
        parts.append(total if len(x.shape) == 4 else _split(call, total, heads))
    return _result(call, parts, mask=4, bias=5)


def _refuse_past(call: Call, operands: Sequence[int], names: Sequence[str]) -> None:
    for i in operands:
        call.refuse(call.raw(i) is not None, f"operand {i}: {PAST}")
    for name in names:
        call.refuse(call.attr_int(name, 0) != 0, f"attribute {name}: {PAST}")


def _split(call: Call, x: Value, heads: int) -> Value:
    """(batch, length, heads times size) as (batch, heads, length, size)."""
    batch, length, width = x.shape
    call.refuse_shape(width % heads != 0, f"{heads} heads of {x.shape}")
    return call.move(x, lambda a: a.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3))


def _result(call: Call, parts: Sequence[Value], *, mask: int, bias: int) -> list[Value]:
    """The attention of (batch, heads, length, size); further outputs, for later passes, are not read."""
    q, k, v = parts
    fits = q.shape[:2] == k.shape[:2] == v.shape[:2] and k.shape[2] == v.shape[2] and q.shape[3] == k.shape[3]
    call.refuse_shape(
        not fits or 0 in (*q.shape, *v.shape), f"queries {q.shape}, keys {k.shape}, values {v.shape}"
    )
    given = call.attr_float("scale", 0.0)
    call.refuse(given < 0, f"scale {given}")
    scores: Value = scaled_products(call, q, k, given or None)
    for added in (_hidden(call, mask, scores), call.optional(bias)):
        if added is not None:
            wrong = not call.fits(added.shape, scores.shape) or len(added.shape) != 4
            call.refuse_shape(wrong, f"scores {scores.shape} plus {added.shape}")
            scores = add_signed(
                call, scores, call.broadcast(in_a_sum(call, added, q.shape[3] + 2), scores.shape), 1
            )
    if call.attr_flag("unidirectional", False):
        queries, keys = scores.shape[2:]
        call.refuse(queries != keys, f"unidirectional, with {queries} queries and {keys} keys", NO_FORM)
        later = Known(np.triu(np.full((queries, keys), -np.inf, np.float32), 1), scores.dtype)
        scores = call.made("Add", scores, later)
    _, y = attended(call, scores, v)
    call.harmless(1)
    batch, heads, length, size = y.shape
    return [call.move(y, lambda a: a.transpose(0, 2, 1, 3).reshape(batch, length, heads * size))]


def _hidden(call: Call, i: int, scores: Value) -> Value | None:
    """What the mask, operand i, adds to the scores (batch, heads, queries, keys): 0 where a key is seen."""
    filtered = call.attr_float("mask_filter_value", -10000.0)
    mask = call.optional(i)
    if mask is None:
        return None
    if isinstance(mask, Data):
        raise call.unsupported("a mask that the network computes: give it as a constant")
    batch, _, queries, keys = scores.shape
    shapes = {(batch, keys): (batch, 1, 1, keys), (batch, queries, keys): (batch, 1, queries, keys)}
    call.refuse(
        mask.shape not in shapes,
        f"a mask of shape {mask.shape}: give one of {(batch, keys)}, 1 for keys that are seen",
    )
    call.refuse(bool(((mask.array != 0) & (mask.array != 1)).any()), "a mask of other numbers than 0 and 1")
    seen: NDArray[np.bool_] = mask.array.reshape(shapes[mask.shape]) != 0
    return Known(np.where(seen, np.float32(0), np.float32(filtered)), scores.dtype)
