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

    A product for each tap and place, which is added to the places that the tap links: sums of at most taps * O/groups
    products and zeros. With few channels or several groups, one product for all taps and places, added tap by tap.
    """
    rows = x.shape[0] * conv.wide[0]
    move = _at_places if conv.groups == 1 and conv.wide[1] >= _FEW else _all_taps
    numbers = conv.narrow[1] * prod(conv.narrow[2:]) + conv.wide[1] * prod(conv.wide[2:])
    if move is _all_taps:
        numbers += prod(conv.kernel) * conv.wide[1] * prod(conv.narrow[2:])
    step = max(8, _CHUNK // numbers)
    shaped = x.reshape(rows, *conv.narrow[1:])
    out = np.empty((rows, *conv.wide[1:]), x.dtype)
    links = list(taps(conv))
    for start in range(0, rows, step):
        out[start : start + step] = move(conv, weight, shaped[start : start + step], links)
    return out.reshape(x.shape[0], -1)


Links = list[tuple[int, Slices, Slices]]


def _at_places(
    conv: ConvMap, weight: NDArray[np.float64], x: NDArray[np.float64], links: Links
) -> NDArray[np.float64]:
    """x (r, O, *narrow) -> (r, C, *wide), of one group: places first, (*places, r, channels), within."""
    matrices = np.ascontiguousarray(weight.reshape(*weight.shape[:2], -1).transpose(2, 0, 1))  # (taps, O, C)
    source = np.ascontiguousarray(np.moveaxis(x, (0, 1), (-2, -1)))
    target = np.zeros((*conv.wide[2:], x.shape[0], conv.wide[1]), x.dtype)
    for flat, narrow, wide in links:
        target[wide] += np.matmul(source[narrow], matrices[flat])
    return np.moveaxis(target, (-2, -1), (0, 1))


def _all_taps(
    conv: ConvMap, weight: NDArray[np.float64], x: NDArray[np.float64], links: Links
) -> NDArray[np.float64]:
    """The same of any groups: (channels, *places, r) within."""
    g, count = conv.groups, x.shape[0]
    grouped = weight.reshape(g, weight.shape[0] // g, conv.weight.shape[1], -1)  # (g, O/g, C/g, taps)
    matrix = np.ascontiguousarray(grouped.transpose(0, 2, 3, 1)).reshape(g, -1, weight.shape[0] // g)
    source = np.ascontiguousarray(np.moveaxis(x, 0, -1)).reshape(g, conv.narrow[1] // g, -1)
    columns = np.matmul(matrix, source).reshape(conv.wide[1], prod(conv.kernel), *conv.narrow[2:], count)
    target = np.zeros((*conv.wide[1:], count), x.dtype)
    for flat, narrow, wide in links:
        target[(every, *wide)] += columns[(every, flat, *narrow)]
    return np.moveaxis(target, -1, 0)


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


_CHUNK = 1 << 17
"""Entries of the buffers of a step: 1 MiB as float64, half of a level-2 cache."""
_FEW = 8
"""Channels below which a product a place is too small to pay."""
