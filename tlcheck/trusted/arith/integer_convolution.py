"""Convolutions of integers, exactly: products of FLINT's large integers, whose 128-bit digits are rasters.

Per axis, wide index i = stride*m + phase - pad, and kernel offset k reaches raster place m = p + q with
dilation*k = stride*q + phase (p is the narrow index). For each phase, products with the kernel are sums of shifted rasters:
large integers times small ones, shifted by whole digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.int128 import Int, Wide
from tlcheck.trusted.arith.maps import ConvMap
from tlcheck.trusted.arith.packed import fmpz_mat, pack, small_matrix, unpack

Slices = tuple[slice, ...]
EVERY = slice(None)
CHUNK = 4096
"""Digits of one large integer, about."""


@dataclass(frozen=True)
class _Phase:
    """``taps``: (flat kernel offset, digits that it shifts a raster by). ``inside``, ``wide``: places of the raster, and the wide
    indices that they are; ``narrow``: the raster places that are narrow indices."""

    taps: list[tuple[int, int]]
    raster: tuple[int, ...]
    inside: Slices
    wide: Slices
    narrow: Slices


def convolve(conv: ConvMap, weights: Int, x: Int, to_wide: bool) -> Wide:
    """The correlation of integers (or its adjoint, ``to_wide``), exactly."""
    rows = x.shape[0] * conv.wide[0]
    source_shape, target_shape = (conv.narrow, conv.wide) if to_wide else (conv.wide, conv.narrow)
    source = x.reshape(rows, *source_shape[1:])
    hi = np.zeros((rows, *target_shape[1:]), np.int64)
    lo = np.zeros((rows, *target_shape[1:]), np.uint64)
    outputs, inputs = conv.weight.shape[0] // conv.groups, conv.weight.shape[1]
    kernels = weights.reshape(conv.groups, outputs, inputs, prod(conv.kernel))
    for phase in _phases(conv):
        matrices = [_tap_matrix(kernel, phase, to_wide) for kernel in kernels]
        chunk = max(1, CHUNK // prod(phase.raster))
        for start in range(0, rows, chunk):
            part = slice(start, start + chunk)
            for g, matrix in enumerate(matrices):
                _add_group(phase, matrix, g, source[part], (hi[part], lo[part]), to_wide)
    return hi.reshape(x.shape[0], -1), lo.reshape(x.shape[0], -1)


def _phases(conv: ConvMap) -> Iterator[_Phase]:
    """Every phase that links anything."""
    axes = range(len(conv.kernel))
    reach = [(conv.dilations[a] * (conv.kernel[a] - 1)) // conv.strides[a] for a in axes]
    raster = tuple(conv.narrow[2 + a] + reach[a] for a in axes)
    taps: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for flat, k in enumerate(product(*(range(n) for n in conv.kernel))):
        steps = [divmod(conv.dilations[a] * k[a], conv.strides[a]) for a in axes]
        place = 0
        for size, (step, _) in zip(raster, steps, strict=True):
            place = place * size + step
        taps.setdefault(tuple(phase for _, phase in steps), []).append((flat, place))
    narrow = tuple(slice(0, n) for n in conv.narrow[2:])
    for phase, places in taps.items():
        links = [_linked(conv, a, phase[a], raster[a]) for a in axes]
        if all(first <= last for first, last, _ in links):
            inside = tuple(slice(first, last + 1) for first, last, _ in links)
            wide = tuple(
                slice(s * first + shift, s * last + shift + 1, s)
                for s, (first, last, shift) in zip(conv.strides, links, strict=True)
            )
            yield _Phase(places, raster, inside, wide, narrow)


def _linked(conv: ConvMap, axis: int, phase: int, raster: int) -> tuple[int, int, int]:
    """(first, last, shift): raster places first .. last are wide indices stride * place + shift."""
    stride, shift = conv.strides[axis], phase - conv.pads[axis]
    return max(0, -(shift // stride)), min(raster - 1, (conv.wide[2 + axis] - 1 - shift) // stride), shift


def _tap_matrix(kernel: Int, phase: _Phase, to_wide: bool) -> fmpz_mat:
    """Kernel entries of the taps as a (taps * targets, sources) matrix; kernel is (O/g, C/g, offsets)."""
    parts = [kernel[:, :, flat].T if to_wide else kernel[:, :, flat] for flat, _ in phase.taps]
    return small_matrix(np.ascontiguousarray(np.concatenate(parts, axis=0)))


def _add_group(phase: _Phase, matrix: fmpz_mat, group: int, source: Int, target: Wide, to_wide: bool) -> None:
    """Add one group's contribution of one phase for some rows."""
    sources, targets = matrix.ncols(), matrix.nrows() // len(phase.taps)
    rows, size = source.shape[0], source.shape[0] * prod(phase.raster)
    digits = np.zeros((sources, rows, *phase.raster), np.int64)
    channels = source[:, group * sources : (group + 1) * sources].swapaxes(0, 1)
    if to_wide:
        digits[(EVERY, EVERY, *phase.narrow)] = channels
    else:
        digits[(EVERY, EVERY, *phase.inside)] = channels[(EVERY, EVERY, *phase.wide)]
    entries = (matrix * fmpz_mat(sources, 1, [pack(row) for row in digits.reshape(sources, -1)])).entries()
    last_place = max(place for _, place in phase.taps)
    window = slice(0, size) if to_wide else slice(last_place, last_place + size)
    take = (EVERY, *(phase.inside if to_wide else phase.narrow))
    for t in range(targets):
        total = entries[0] * 0
        for i, (_, place) in enumerate(phase.taps):
            total += entries[i * targets + t] << (128 * (place if to_wide else last_place - place))
        h, low = unpack(total, size + last_place)
        value = h[window].reshape(rows, *phase.raster)[take], low[window].reshape(rows, *phase.raster)[take]
        put: tuple[slice | int, ...] = (
            EVERY,
            group * targets + t,
            *(phase.wide if to_wide else phase.narrow),
        )
        target[0][put], target[1][put] = int128.add((target[0][put], target[1][put]), value)
