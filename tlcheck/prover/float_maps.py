"""Linear maps and their adjoints on blocks of floats, unsound: the last axis is a node's values, any axes before it.

What the engines of ``trusted.arith`` prove bounds of, in float32 or float64 without them. Weights are converted once.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tlcheck.prover.thin import thinned
from tlcheck.trusted.arith.convolution import taps, to_narrow, to_wide
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap

Array = NDArray[Any]


class FloatMaps:
    """``forward``: x (..., n_in) -> M x (..., n_out). ``adjoint``: a (..., n_out) -> M^T a (..., n_in)."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._known: dict[tuple[Map, str], Any] = {}

    def forward(self, m: Map, x: Array, *, magnitude: bool = False) -> Array:
        """``magnitude``: |M| x."""
        match m:
            case MatMap():
                weight = self._thin(m, magnitude)[0]
                flat = x.reshape(-1, m.weight.shape[0]) if m.positions > 1 else _rows(x, m.weight.shape[0])
                return np.asarray(flat @ weight).reshape(*x.shape[:-1], m.n_out)
            case ConvMap():
                return self._moved(
                    m, x, self._weight(m, magnitude)[0], to_wide if m.transposed else to_narrow
                )
            case DiagMap():
                factor = self._factor(m)
                return x * (np.abs(factor) if magnitude else factor)
            case SignMap():
                return x if m.sign == 1 or magnitude else -x
            case IndexMap():
                return self._scatter(m, x) if m.transposed else self._gather(m, x)

    def adjoint(self, m: Map, a: Array) -> Array:
        match m:
            case MatMap():
                return np.asarray(a.reshape(-1, m.weight.shape[1]) @ self._thin(m, False)[1]).reshape(
                    *a.shape[:-1], m.n_in
                )
            case ConvMap():
                return self._moved(m, a, self._weight(m, False)[0], to_narrow if m.transposed else to_wide)
            case IndexMap():
                return self._gather(m, a) if m.transposed else self._scatter(m, a)
            case _:
                return self.forward(m, a)

    def units(self, m: MatMap | ConvMap, indices: NDArray[np.int64], signs: Array) -> Array:
        """The adjoint of signs[k] times the unit of value indices[..., k]: (..., K, n_in); of one position, or ``is_plain``."""
        if isinstance(m, ConvMap):
            return self._placed(m, indices, signs)
        return np.asarray(self._weight(m, False)[1][indices] * signs[:, None])

    def _placed(self, m: ConvMap, indices: NDArray[np.int64], signs: Array) -> Array:
        """A convolution's: kernels, each put where its value looks."""
        places = self._once(m, "places", lambda: _places(m))
        channel, position = np.divmod(indices.reshape(-1), len(places))
        row, tap = np.nonzero(places[position] >= 0)
        kernels = self._weight(m, False)[0].reshape(m.narrow[1], m.wide[1], -1)
        factor = np.broadcast_to(signs, indices.shape).reshape(-1)[row]
        out = np.zeros((indices.size, m.wide[1], prod(m.wide[2:])), self.dtype)
        out[row, :, places[position[row], tap]] = kernels[channel[row], :, tap] * factor[:, None]
        return out.reshape(*indices.shape, -1)

    def _moved(
        self, m: ConvMap, x: Array, weight: Array, how: Callable[[ConvMap, Array, Array], Array]
    ) -> Array:
        return how(m, weight, np.ascontiguousarray(x.reshape(-1, x.shape[-1]))).reshape(*x.shape[:-1], -1)

    def _once(self, m: Map, what: str, make: Callable[[], Any]) -> Any:
        if (m, what) not in self._known:
            self._known[m, what] = make()
        return self._known[m, what]

    def _weight(self, m: MatMap | ConvMap, magnitude: bool) -> tuple[Array, Array]:
        """The weight and, of a matrix, its transpose, both contiguous."""

        def make() -> tuple[Array, Array]:
            w = np.ascontiguousarray(m.weight.mid.astype(np.float64), self.dtype)
            w = np.abs(w) if magnitude else w
            return w, np.ascontiguousarray(w.T) if isinstance(m, MatMap) else w

        found: tuple[Array, Array] = self._once(m, "magnitude" if magnitude else "weight", make)
        return found

    def _thin(self, m: MatMap, magnitude: bool) -> tuple[Any, Any]:
        """``_weight`` for products, thin where it is."""
        what = "thin magnitude" if magnitude else "thin"
        found: tuple[Any, Any] = self._once(m, what, lambda: tuple(map(thinned, self._weight(m, magnitude))))
        return found

    def _factor(self, m: DiagMap) -> Array:
        return np.asarray(self._once(m, "factor", lambda: m.flat.mid.astype(self.dtype)))

    def _gather(self, m: IndexMap, x: Array) -> Array:
        if m.is_identity:
            return x
        if not x.shape[-1]:
            return np.zeros((*x.shape[:-1], m.index.size), x.dtype)
        out = np.take(x, m.index, axis=-1)
        absent = self._once(m, "absent", lambda: np.flatnonzero(m.index < 0))
        if absent.size:
            out[..., absent] = 0
        return out

    def _scatter(self, m: IndexMap, x: Array) -> Array:
        """Sums over equal indices: entries in their order, then one sum a run."""
        if m.is_identity:
            return x
        out = np.zeros((*x.shape[:-1], m.size), x.dtype)
        order, targets, starts = self._once(m, "runs", lambda: _runs(m.index))
        if order.size:
            moved = np.take(x, order, axis=-1)
            out[..., targets] = moved if starts is None else np.add.reduceat(moved, starts, axis=-1)
        return out


def _rows(x: Array, n: int) -> Array:
    return x.reshape(*x.shape[:-1], n)


def is_plain(m: ConvMap) -> bool:
    """One group and one picture, values on the narrow side."""
    return not m.transposed and m.groups == 1 and m.wide[0] == 1


def _places(m: ConvMap) -> NDArray[np.int64]:
    """(narrow positions, taps): the wide position that each links to, or -1."""
    wide = np.arange(prod(m.wide[2:])).reshape(m.wide[2:])
    found = np.full((prod(m.kernel), *m.narrow[2:]), -1, np.int64)
    for flat, at, to in taps(m):
        found[flat][at] = wide[to]
    return np.ascontiguousarray(found.reshape(prod(m.kernel), -1).T)


def _runs(index: NDArray[np.int64]) -> tuple[Array, Array, Array | None]:
    """(entries that are used, sorted by index; the distinct indices; where each one's run starts, None: all single)."""
    order = np.argsort(index, kind="stable")
    order = order[index[order] >= 0]
    targets, starts = np.unique(index[order], return_index=True)
    return order, targets, None if targets.size == order.size else starts
