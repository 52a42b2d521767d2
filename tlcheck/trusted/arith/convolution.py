"""Convolutions as gemm plus strided moves, for numpy arrays (float64 or int64).

Geometry: narrow index p and wide index i are linked by i = strides*p + dilations*k - pads. ``tap_slices`` gives, for a
kernel offset k, the narrow and wide slices that it links. Every value of a result is a plain sum of products in
some order (no Winograd, no FFT).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.maps import ConvMap

Slices = tuple[slice, ...]
every = slice(None)


def taps(conv: ConvMap) -> Iterator[tuple[int, Slices, Slices]]:
    """(flat kernel offset, narrow slices, wide slices) for each kernel offset that links anything."""
    rank = len(conv.kernel)
    wide, narrow = conv.wide[2:], conv.narrow[2:]
    for flat, k in enumerate(product(*(range(n) for n in conv.kernel))):
        narrow_slices, wide_slices = [], []
        for a in range(rank):
            shift = conv.dilations[a] * k[a] - conv.pads[a]
            s = conv.strides[a]
            first = max(0, -(shift // s))
            last = min(narrow[a] - 1, (wide[a] - 1 - shift) // s)
            if last < first:
                break
            narrow_slices.append(slice(first, last + 1))
            wide_slices.append(slice(s * first + shift, s * last + shift + 1, s))
        else:
            yield flat, tuple(narrow_slices), tuple(wide_slices)


def to_wide(conv: ConvMap, weight: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The adjoint: x (M, n_narrow) -> (M, n_wide); ``weight`` (O, C/groups, *kernel).

    Rows go to the last axis, so that one gemm serves a whole chunk of rows and the moves run along memory. At stride 1
    the taps are gathered before the gemm (sums of at most taps * O/groups products and zeros), else added after it.
    """
    rows = x.shape[0] * conv.wide[0]
    positions = prod(conv.narrow[2:])
    narrow_rows = x.reshape(rows, conv.narrow[1] * positions)
    out = np.empty((rows, conv.wide[1] * prod(conv.wide[2:])), x.dtype)
    gather = all(s == 1 for s in conv.strides)
    buffer = prod(conv.kernel) * (
        conv.narrow[1] * prod(conv.wide[2:]) if gather else conv.wide[1] * positions
    )
    step = max(8, _CHUNK // max(1, buffer))
    plan = (list(taps(conv)), _adjoint_matrix(conv, weight, gather))
    for start in range(0, rows, step):
        part = np.ascontiguousarray(narrow_rows[start : start + step].T)
        moved = _gathered(conv, part, plan) if gather else _scattered(conv, part, plan)
        out[start : start + step] = moved.T
    return out.reshape(x.shape[0], -1)


Plan = tuple[list[tuple[int, Slices, Slices]], NDArray[np.float64]]


def _adjoint_matrix(conv: ConvMap, weight: NDArray[np.float64], gather: bool) -> NDArray[np.float64]:
    """(g, C/g, O/g * taps) to gather, (g, C/g * taps, O/g) to scatter."""
    g = conv.groups
    grouped = weight.reshape(g, weight.shape[0] // g, conv.weight.shape[1], -1)  # (g, O/g, C/g, taps)
    if gather:
        return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3)).reshape(g, conv.weight.shape[1], -1)
    return np.ascontiguousarray(grouped.transpose(0, 2, 3, 1)).reshape(g, -1, weight.shape[0] // g)


def _gathered(conv: ConvMap, part: NDArray[np.float64], plan: Plan) -> NDArray[np.float64]:
    links, matrix = plan
    g, count = conv.groups, part.shape[1]
    source = part.reshape(conv.narrow[1], *conv.narrow[2:], count)
    columns = np.zeros((conv.narrow[1], prod(conv.kernel), *conv.wide[2:], count), part.dtype)
    for flat, narrow, wide in links:
        place: tuple[slice | int, ...] = (every, flat, *wide)
        columns[place] = source[(every, *narrow)]
    result: NDArray[np.float64] = np.matmul(matrix, columns.reshape(g, matrix.shape[2], -1)).reshape(
        -1, count
    )
    return result


def _scattered(conv: ConvMap, part: NDArray[np.float64], plan: Plan) -> NDArray[np.float64]:
    links, matrix = plan
    g, count = conv.groups, part.shape[1]
    products = np.matmul(matrix, part.reshape(g, conv.narrow[1] // g, -1))
    columns = products.reshape(conv.wide[1], prod(conv.kernel), *conv.narrow[2:], count)
    target = np.zeros((conv.wide[1], *conv.wide[2:], count), part.dtype)
    for flat, narrow, wide in links:
        target[(every, *wide)] += columns[(every, flat, *narrow)]
    return target.reshape(-1, count)


def to_narrow(conv: ConvMap, weight: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation: x (M, n_wide) -> (M, n_narrow)."""
    rows = x.shape[0]
    batch, channels, *spatial = conv.wide
    g = conv.groups
    taps_count = prod(conv.kernel)
    w = weight.reshape(g, weight.shape[0] // g, -1)  # (g, O/g, C/g * taps)
    positions = prod(conv.narrow[2:])
    shaped = x.reshape(rows * batch, channels, *spatial)
    out = np.empty((rows * batch, conv.narrow[1], positions), x.dtype)
    step = max(1, _CHUNK // max(1, channels * taps_count * positions))
    links = list(taps(conv))
    for start in range(0, rows * batch, step):
        source = shaped[start : start + step]
        columns = np.zeros((source.shape[0], channels, taps_count, *conv.narrow[2:]), x.dtype)
        for flat, narrow, wide in links:
            place: tuple[slice | int, ...] = (every, every, flat, *narrow)
            columns[place] = source[(every, every, *wide)]
        grouped = columns.reshape(source.shape[0], g, (channels // g) * taps_count, positions)
        out[start : start + step] = np.matmul(w, grouped).reshape(source.shape[0], conv.narrow[1], positions)
    return out.reshape(rows, -1)


_CHUNK = 1 << 18
"""Entries of a column buffer: 2 MiB as float64, the size of a level-2 cache."""
