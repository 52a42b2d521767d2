"""Attention and RotaryEmbedding, written out: products of variables, softmax, sums.

Guarantee: the nodes emitted denote exactly what the standard's text has, over the reals. Where kernels compute the softmax while
they add up (running maxima, sums that are scaled again), a profile says so (``Attended``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import add_signed, in_a_sum, multiplied, scale
from tlcheck.readers.onnx.call import DIFFER, Call, shown
from tlcheck.readers.onnx.matrices import product, transposed
from tlcheck.readers.onnx.operands import HALVES, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import rational
from tlcheck.trusted.ops.attended import Attended
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.statistics import Unlike

WHOLE_PRECISIONS: Final = (1, 11)
"""``softmax_precision`` that loses nothing: float32, float64."""


def attention(call: Call) -> list[Value]:
    """softmax(scale Q K' + masks) V for each head; with past keys and values before K and V; heads of K and V repeated.

    Further outputs: all keys, all values, and what ``qk_matmul_output_mode`` says.
    """
    q, k, v = _heads(call)
    past = call.optional(4), call.optional(5)
    call.refuse((past[0] is None) != (past[1] is None), "past_key without past_value, or the other way round")
    past_length = 0 if past[0] is None else past[0].shape[2]
    k, v = (_after(call, p, x) for p, x in zip(past, (k, v), strict=True))
    _check_shapes(call, q, k, v)
    precision = call.attr_int("softmax_precision", 1)
    call.refuse(precision not in WHOLE_PRECISIONS, f"softmax_precision {precision}")
    keys, values = (_repeated(call, x, q.shape[1]) for x in (k, v))
    raw = scaled_products(call, q, keys, _factor(call))
    capped = _capped(call, raw)
    masked = _masked(call, capped, past_length)
    weights, y = attended(call, masked, values)
    merged = _merged(call, y) if len(call.value(0).shape) == 3 else y
    return [merged, k, v, _shown(call, (raw, capped, masked, weights))]


def attended(call: Call, scores: Value, values: Value) -> tuple[Value, Data]:
    """The softmax of scores (..., queries, keys), and the sums of values (..., keys, size) with these weights."""
    weights = call.made("Softmax", scores, axis=-1)
    y = call.data(product(call, weights, values))
    if y.dtype in HALVES:
        return weights, call.emit(Unlike(f"{call.name} of {y.dtype}, whose kernels may add up in it"), y)
    return weights, call.emit(Attended(call.name), y, call.data(values))


def scaled_products(call: Call, q: Value, k: Value, factor: float | None) -> Data:
    """Queries times keys, times the factor (1 / sqrt(size) where there is none). Kernels scale before (both or
    one) or after: at most four roundings of the factor, or of its root, go into each of two operands."""
    size = q.shape[-1]
    number = exact.evaluated(1 / rational(size).sqrt()) if factor is None else Constant(np.array(factor))
    return scale(call, product(call, q, transposed(call, k), roundings=8), number, None, 4)


def _heads(call: Call) -> list[Value]:
    """Q, K, V as (batch, heads, length, size)."""
    values = [call.value(i) for i in range(3)]
    call.same_type(*values)
    call.require_float(*values)
    ranks = {len(x.shape) for x in values}
    call.refuse_shape(ranks not in ({3}, {4}), f"operands of shapes {[x.shape for x in values]}")
    counts = [call.attr_int(name, 0) for name in ("q_num_heads", "kv_num_heads")]
    if ranks == {4}:
        call.refuse(any(counts), "a number of heads for operands of four axes", DIFFER)
        return values
    return [_split(call, x, counts[i > 0]) for i, x in enumerate(values)]


def _split(call: Call, x: Value, heads: int) -> Value:
    """(batch, length, heads size) to (batch, heads, length, size)."""
    batch, length, hidden = x.shape
    call.refuse_shape(heads < 1 or hidden % heads != 0, f"{heads} heads for operand {x.shape}")
    apart = call.reshape(x, (batch, length, heads, hidden // heads))
    return call.move(apart, lambda a: np.swapaxes(a, 1, 2))


def _merged(call: Call, x: Value) -> Value:
    batch, heads, length, size = x.shape
    return call.reshape(call.move(x, lambda a: np.swapaxes(a, 1, 2)), (batch, length, heads * size))


def _after(call: Call, past: Value | None, x: Value) -> Value:
    """``past`` and x along the axis of length."""
    if past is None:
        return x
    fits = len(past.shape) == 4 and past.shape[:2] + past.shape[3:] == x.shape[:2] + x.shape[3:]
    call.refuse_shape(not fits, f"past of shape {past.shape} for {x.shape}")
    return call.moves([past, x], lambda arrays: np.concatenate(arrays, axis=2))


def _check_shapes(call: Call, q: Value, k: Value, v: Value) -> None:
    fits = (
        q.shape[0] == k.shape[0] == v.shape[0] and k.shape[1:3] == v.shape[1:3] and q.shape[3] == k.shape[3]
    )
    text = f"queries {q.shape}, keys {k.shape}, values {v.shape}"
    call.refuse_shape(not fits or 0 in (*q.shape, *k.shape, *v.shape) or q.shape[1] % k.shape[1] != 0, text)


def _repeated(call: Call, x: Value, heads: int) -> Value:
    """Each head of keys or values for as many queries' heads, one after the other."""
    return call.move(x, lambda a: np.repeat(a, heads // x.shape[1], axis=1))


def _factor(call: Call) -> float | None:
    """``scale``, where it is given."""
    given = call.attr_float("scale", 1.0)
    call.refuse(given <= 0, f"scale {given}")
    return given if call.has("scale") else None


def _capped(call: Call, x: Data) -> Data:
    """c tanh(x / c), c the attribute ``softcap``."""
    cap = call.attr_float("softcap", 0.0)
    call.refuse(cap < 0, f"softcap {cap}")
    if cap == 0:
        return x
    inner = call.emit(Tanh(), scale(call, x, exact.evaluated(1 / rational(cap)), None, 2))
    return scale(call, inner, Constant(np.array(cap)), None, 1)


def _masked(call: Call, x: Data, past: int) -> Value:
    """x and its masks: the operand's, the causal one with its window, what is no key."""
    allowed = _allowed(call, x.shape, past)
    mask = _mask(call, x.shape)
    if isinstance(mask, Known) and mask.dtype == "bool":
        allowed, mask = allowed & mask.array, None
    elif isinstance(mask, Known):
        allowed = allowed & ~np.isneginf(mask.array)
    nothing = not bool(np.broadcast_to(allowed, x.shape).any(axis=-1).all())
    call.refuse(nothing, "a query that attends to no key", DIFFER)
    started = None if mask is None else _started(call, mask)
    for part in (started, None if bool(allowed.all()) else _bias(allowed, x.dtype)):
        x = x if part is None else _as_data(call.made("Add", x, part))
    return x


def _started(call: Call, mask: Value) -> Value:
    """The mask; kernels also start the sum of products with it."""
    found = in_a_sum(call, shown(mask) if isinstance(mask, Data) else mask, call.value(0).shape[-1] + 1)
    return Data(found.node, found.shape, found.dtype, mask.hidden) if isinstance(found, Data) else found


def _as_data(x: Value) -> Data:
    """A sum of data is data."""
    if not isinstance(x, Data):
        raise TypeError
    return x


def _bias(allowed: NDArray[np.bool_], dtype: str) -> Known:
    return Known(np.where(allowed, np.float32(0), np.float32(-np.inf)), dtype)


def _mask(call: Call, shape: tuple[int, ...]) -> Value | None:
    """The operand's, of booleans (a constant) or numbers that are added; before opset 24 no shorter than the keys."""
    mask = call.optional(3)
    if mask is None:
        return None
    call.refuse(isinstance(mask, Data) and not mask.is_float, "a mask of booleans that the network computes")
    missing = shape[-1] - mask.shape[-1] if mask.shape else 0
    if missing > 0:
        call.refuse(
            mask.shape[-1] == 1, f"a mask of shape {mask.shape}: to be repeated, or shorter than the keys"
        )
        call.refuse(call.opset < 24, "a mask that is shorter than the keys, before opset 24")
        hidden = (
            Known(np.array(False), "bool") if mask.dtype == "bool" else _bias(np.array(False), mask.dtype)
        )
        widths = [(0, 0)] * (len(mask.shape) - 1) + [(0, missing)]
        mask = call.moves([mask, hidden], lambda arrays: np.pad(arrays[0], widths, constant_values=arrays[1]))
    fits = mask.shape[-2:] == shape[-2:] and call.fits(mask.shape, shape)
    call.refuse(not fits, f"a mask of shape {mask.shape} for scores {shape}", DIFFER)
    return mask


def _allowed(call: Call, shape: tuple[int, ...], past: int) -> NDArray[np.bool_]:
    """(1 or batch, 1, queries, keys): which keys a query attends to, but for the operand's mask.

    A query's place is its index after the keys of the past, or, with ``nonpad_kv_seqlen``, after all that are keys but its block.
    """
    counts = call.optional_ints(6)
    batch, _, queries, keys = shape
    call.refuse(counts is not None and past > 0, "nonpad_kv_seqlen with past keys")
    bad = counts is not None and (len(counts) != batch or any(not 1 <= n <= keys for n in counts))
    call.refuse(bad, f"nonpad_kv_seqlen {counts} for scores {shape}")
    ends = np.array(counts or [past + queries]).reshape(-1, 1, 1, 1)
    causal = call.attr_flag("is_causal", False)
    call.refuse(causal and bool((ends != queries).any()), "is_causal with keys before the queries", DIFFER)
    place, key = np.arange(queries)[:, None] + ends - queries, np.arange(keys)
    left, right = call.attr_int("left_window_size", -1), call.attr_int("right_window_size", -1)
    call.refuse(min(left, right) < -1, f"window sizes {left} and {right}")
    allowed = np.broadcast_to(np.array(True), (len(ends), 1, queries, keys))
    for limited, kept in (
        (causal, key <= place),
        (left >= 0, key >= place - left),
        (right >= 0, key <= place + right),
        (counts is not None, key < ends),
    ):
        allowed = allowed & kept if limited else allowed
    return np.asarray(allowed)


def _shown(call: Call, steps: Sequence[Value]) -> Value:
    """The fourth output: the step that ``qk_matmul_output_mode`` names, where it is used."""
    mode = call.attr_int("qk_matmul_output_mode", 0)
    call.refuse(not 0 <= mode < len(steps), f"qk_matmul_output_mode {mode}")
    used = len(call.wanted) > 3 and call.wanted[3]
    capped = used and mode == 0 and steps[0] is not steps[1]
    call.refuse(capped, "qk_matmul_output of mode 0 with softcap", DIFFER)
    return steps[mode]


def rotary_embedding(call: Call) -> list[Value]:
    """Pairs of entries of each head turned: (x, y) to (c x - s y, s x + c y), with the cosines and sines of its place."""
    x, given = call.value(0), call.value(0).shape
    heads = call.attr_int("num_heads", 0)
    call.refuse_shape(len(given) not in (3, 4), f"operand {given}")
    call.refuse(
        len(given) == 4 and heads != 0 and heads != given[1], f"num_heads {heads} for operand {given}"
    )
    apart = _split(call, x, heads) if len(given) == 3 else x
    batch, heads, length, size = apart.shape
    turned = call.attr_int("rotary_embedding_dim", 0) or size
    call.refuse_shape(not 0 < turned <= size or turned % 2 != 0, f"rotary_embedding_dim {turned} of {size}")
    shape = (batch, heads, length, turned // 2)
    cosine, sine = (_cached(call, i, shape) for i in (1, 2))
    places = np.arange(turned)
    first, second = (
        (places[0::2], places[1::2])
        if call.attr_flag("interleaved", False)
        else (places[: turned // 2], places[turned // 2 :])
    )
    a, b = (call.move(apart, lambda v, p=p: v[..., p]) for p in (first, second))  # type: ignore[misc]
    real = add_signed(call, multiplied(call, cosine, a), multiplied(call, sine, b), -1)
    imaginary = add_signed(call, multiplied(call, sine, a), multiplied(call, cosine, b), 1)

    def back(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        result = np.array(arrays[0])
        result[..., first], result[..., second] = arrays[1], arrays[2]
        return result

    y = call.moves([apart, real, imaginary], back)
    return [_merged(call, y) if len(given) == 3 else y]


def _cached(call: Call, i: int, shape: tuple[int, ...]) -> Value:
    """Operand i, a number for each pair of (batch, heads, length, pairs): by place, or of the places that operand 3 gives."""
    cache, index = call.value(i), call.optional_known(3)
    batch, _, length, pairs = shape
    if index is not None:
        rows = index.array.astype(np.int64)
        wrong = len(cache.shape) != 2 or rows.shape != (batch, length) or bool((rows < 0).any())
        call.refuse_shape(wrong or index.is_float, f"position_ids {index.shape} of a cache {cache.shape}")
        cache = call.move(cache, lambda a: a[rows])
    call.refuse_shape(cache.shape != (batch, length, pairs), f"a cache of shape {cache.shape} for {shape}")
    return call.broadcast(call.reshape(cache, (batch, 1, length, pairs)), shape)
