"""What is true of a mutated claim, by means of its own: numpy samples in float64, points confirmed by mpmath at 60 digits.

Nothing of tlcheck is imported here. Sampling proves violations only; what no sample violates is *taken* as true, so it may
be CERTIFIED or UNPROVEN, and must not be REFUTED.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Floats = npt.NDArray[np.float64]
Box = tuple[tuple[Fraction, Fraction], ...]
DIGITS = 60


def exact(q: Fraction | float) -> Any:
    """At 60 digits."""
    q = Fraction(q)
    return mpmath.mpf(q.numerator) / q.denominator


# Trees of halvings, and of cuts.


def halvings(tree: str, box: Box) -> list[Box] | None:
    """The cells of a preorder text; None where it is not one whole tree. By recursion, from the left."""

    def read(at: int, cell: Box) -> tuple[int, list[Box]]:
        if tree[at] == ".":
            return at + 1, [cell]
        axis = "0123".index(tree[at])
        low, high = cell[axis]
        if low == high:
            raise ValueError("a fixed coordinate")
        middle = low + (high - low) / 2
        after, first = read(at + 1, (*cell[:axis], (low, middle), *cell[axis + 1 :]))
        after, second = read(after, (*cell[:axis], (middle, high), *cell[axis + 1 :]))
        return after, first + second

    try:
        after, found = read(0, box)
    except (IndexError, ValueError):
        return None
    return found if after == len(tree) else None


def volume(box: Box) -> Fraction:
    total = Fraction(1)
    for a, b in box:
        total *= b - a if b > a else 1
    return total


def cuts(tree: str, box: Box) -> list[tuple[Box, str]] | None:
    """The leaves of a stability tree with their tags; None where it is not one whole tree."""
    words = tree.split(" ")

    def read(at: int, cell: Box) -> tuple[int, list[tuple[Box, str]]]:
        word = words[at]
        if word in ("o", "d", "i", "c", "e"):
            return at + 1, [(cell, word)]
        axis_text, _, place = word.partition("@")
        axis = ("0", "1").index(axis_text)
        low, high = cell[axis]
        middle = Fraction(place) if place else (low + high) / 2
        lower = (*cell[:axis], (low, min(high, middle) if middle >= low else middle), *cell[axis + 1 :])
        upper = (*cell[:axis], (max(low, middle) if middle <= high else middle, high), *cell[axis + 1 :])
        after, first = read(at + 1, lower)
        after, second = read(after, upper)
        return after, first + second

    try:
        after, found = read(0, box)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return found if after == len(words) else None


# A PINN of Burgers' equation.


@dataclass
class Pinn:
    """tanh layers (weight (out, in), bias) after x -> 2 (x - low) / span - 1, read from the ONNX file's tensors."""

    layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
    low: Floats
    span: Floats

    @classmethod
    def read(cls, data: bytes) -> Pinn:
        graph = onnx.load_from_string(data).graph
        stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        gemms = [node for node in graph.node if node.op_type == "Gemm"]
        fixed = [numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"]
        if [n.op_type for n in graph.node[:8]] != [
            "Constant",
            "Sub",
            "Constant",
            "Mul",
            "Constant",
            "Div",
            "Constant",
            "Sub",
        ]:
            raise ValueError("another network")
        if fixed[1] != 2 or fixed[3] != 1:
            raise ValueError("another network")
        layers = [(stored[n.input[1]].copy(), stored[n.input[2]].copy()) for n in gemms]
        return cls(layers, fixed[0].astype(np.float64), fixed[2].astype(np.float64))

    def into(self, data: bytes) -> bytes:
        """The file with these layers."""
        model = onnx.load_from_string(data)
        stored = {t.name: t for t in model.graph.initializer}
        for node, arrays in zip(
            [n for n in model.graph.node if n.op_type == "Gemm"], self.layers, strict=True
        ):
            for name, array in zip(node.input[1:], arrays, strict=True):
                stored[name].CopyFrom(numpy_helper.from_array(array, name))
        return bytes(model.SerializeToString())

    def derivatives(self, points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """u, u_t, u_x, u_xx at points (n, 2)."""
        v = 2 * (points - self.low) / self.span - 1
        t, x, xx = (np.zeros_like(v) for _ in range(3))
        t[:, 0], x[:, 1] = 2 / self.span[0], 2 / self.span[1]
        for k, (weight, bias) in enumerate(self.layers):
            w = weight.astype(np.float64).T
            v, t, x, xx = v @ w + bias, t @ w, x @ w, xx @ w
            if k < len(self.layers) - 1:
                y = np.tanh(v)
                slope = 1 - y**2
                v, t, x, xx = y, slope * t, slope * x, slope * xx - 2 * y * slope * x**2
        return v[:, 0], t[:, 0], x[:, 0], xx[:, 0]

    def exact_derivatives(self, point: Sequence[Fraction]) -> tuple[Any, Any, Any, Any]:
        """The same at a rational point."""
        mp = mpmath.mp
        v = [
            2 * (exact(p) - exact(a)) / exact(s) - 1
            for p, a, s in zip(point, self.low, self.span, strict=True)
        ]
        zero = mpmath.mpf(0)
        t, x, xx = [2 / exact(self.span[0]), zero], [zero, 2 / exact(self.span[1])], [zero, zero]
        for k, (weight, bias) in enumerate(self.layers):
            rows = [[mpmath.mpf(float(w)) for w in row] for row in weight]
            v, t, x, xx = ([mp.fdot(row, c) for row in rows] for c in (v, t, x, xx))
            v = [a + mpmath.mpf(float(b)) for a, b in zip(v, bias, strict=True)]
            if k < len(self.layers) - 1:
                y = [mp.tanh(a) for a in v]
                slope = [1 - a * a for a in y]
                xx = [s * c - 2 * a * s * b * b for s, a, b, c in zip(slope, y, x, xx, strict=True)]
                t = [s * a for s, a in zip(slope, t, strict=True)]
                x = [s * a for s, a in zip(slope, x, strict=True)]
                v = y
        return v[0], t[0], x[0], xx[0]


@dataclass(frozen=True)
class Equation:
    """``part``: "residual": u_t + a u u_x - b (0.01/pi) u_xx; "initial": u + a sin(b pi x); "edge": u - a + b x."""

    part: str
    a: Fraction
    b: Fraction

    @property
    def text(self) -> str:
        a, b = f"({self.a})", f"({self.b})"
        return {
            "residual": f"u_t + {a}*u*u_x - {b}*nu*u_xx",
            "initial": f"u + {a}*sin({b}*pi*x)",
            "edge": f"u - {a} + {b}*x",
        }[self.part]

    def squared(self, net: Pinn, points: Floats) -> Floats:
        u, t, x, xx = net.derivatives(points)
        a, b = float(self.a), float(self.b)
        if self.part == "residual":
            value = t + a * u * x - b * 0.01 / np.pi * xx
        elif self.part == "initial":
            value = u + a * np.sin(b * np.pi * points[:, 1])
        else:
            value = u - a + b * points[:, 1]
        return np.asarray(value**2)

    def squared_exactly(self, net: Pinn, point: Sequence[Fraction]) -> Any:
        with mpmath.workdps(DIGITS):
            u, t, x, xx = net.exact_derivatives(point)
            a, b, place = exact(self.a), exact(self.b), exact(point[1])
            if self.part == "residual":
                value = t + a * u * x - b * mpmath.mpf(1) / (100 * mpmath.pi) * xx
            elif self.part == "initial":
                value = u + a * mpmath.sin(b * mpmath.pi * place)
            else:
                value = u - a + b * place
            return value**2


def highest(value: Callable[[Floats], Floats], box: Box, count: int = 20_000) -> tuple[Fraction, ...]:
    """A point with a large value: the best of a grid, and of finer grids around the best points."""
    low, high = (np.array([float(side[k]) for side in box]) for k in (0, 1))
    free = np.flatnonzero(high > low)
    n = min(round(count ** (1 / max(free.size, 1))), 2001)
    best = low.copy()
    reach, first = high - low, True
    for _ in range(5):
        from_, to = (low, high) if first else (np.maximum(low, best - reach), np.minimum(high, best + reach))
        axes = [np.linspace(from_[i], to[i], n if first else min(n, 61)) for i in free]
        points = np.tile(best, (int(np.prod([a.size for a in axes])), 1))
        for i, grid in zip(free, np.meshgrid(*axes), strict=True):
            points[:, i] = grid.ravel()
        best = points[int(np.argmax(value(points)))]
        reach, first = (to - from_) / (n - 1) * 2 if first else (to - from_) / 30, False
    return tuple(min(max(Fraction(float(p)), a), b) for p, (a, b) in zip(best, box, strict=True))


# A discrete loop: path tracking with quadratic V.


@dataclass
class Tracking:
    """x1+ = x1 + drift sin x2, x2+ = x2 + 0.05 (2 u - cos x2 / (5 - sin x2)), u = clip(N(x) - N(0) + shift), relu layers;
    V = x^T (plus I + R^T R) x. Claim: the origin is an equilibrium, and where V <= level in the box |x| <= side, x+ is in the
    box and V(x+) <= (1 - decay) V(x)."""

    layers: list[tuple[Floats, Floats]]
    factor: Floats
    limit: Fraction = Fraction(1, 2)
    shift: Fraction = Fraction(1, 10)
    level: Fraction = Fraction("1.85760951")
    decay: Fraction = Fraction(1, 1000)
    side: Fraction = Fraction(3)
    drift: Fraction = Fraction(1, 10)
    plus: Fraction = Fraction(1, 100)

    @classmethod
    def read(cls, data: bytes) -> Tracking:
        tensors = json.loads(data)["tensors"]

        def array(name: str) -> Floats:
            numbers = [float.fromhex(v) for v in tensors[name]["data"]]
            return np.array(numbers).reshape(tensors[name]["shape"])

        layers = [
            (array(f"controller.net.{k}.weight"), array(f"controller.net.{k}.bias")) for k in (0, 2, 4, 6)
        ]
        return cls(layers, array("lyapunov.R"))

    def into(self, data: bytes) -> bytes:
        document = json.loads(data)
        arrays = {"lyapunov.R": self.factor}
        for k, (weight, bias) in zip((0, 2, 4, 6), self.layers, strict=True):
            arrays |= {f"controller.net.{k}.weight": weight, f"controller.net.{k}.bias": bias}
        for name, array in arrays.items():
            document["tensors"][name]["data"] = [float(v).hex() for v in array.ravel()]
        return json.dumps(document).encode()

    @property
    def box(self) -> Box:
        return ((-self.side, self.side),) * 2

    def fill(self, document: dict[str, Any]) -> None:
        """The artifact's fields that this claim determines; the weights are in their file."""
        document["networks"][0] |= {"clip": [[str(-self.limit), str(self.limit)]], "shift": [str(self.shift)]}
        document["equations"][0] = f"x1 + ({self.drift})*sin(x2)"
        document["V"]["quadratic"]["plus"] = str(self.plus)
        document |= {"level": str(self.level), "decay": str(self.decay)}

    @property
    def at_rest(self) -> bool:
        """F(0) = 0, in rationals."""
        return 2 * max(-self.limit, min(self.limit, self.shift)) == Fraction(1, 5)

    def _network(self, x: Floats) -> Floats:
        for k, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            x = np.maximum(x, 0) if k < len(self.layers) - 1 else x
        return np.asarray(x[:, 0])

    def value(self, x: Floats) -> Floats:
        return np.asarray(float(self.plus) * (x**2).sum(1) + ((x @ self.factor.T) ** 2).sum(1))

    def next(self, x: Floats) -> Floats:
        u = self._network(x) - self._network(np.zeros((1, 2))) + float(self.shift)
        u = np.clip(u, -float(self.limit), float(self.limit))
        turn = 2 * u - np.cos(x[:, 1]) / (5 - np.sin(x[:, 1]))
        return np.stack([x[:, 0] + float(self.drift) * np.sin(x[:, 1]), x[:, 1] + 0.05 * turn], 1)

    def excess(self, x: Floats) -> Floats:
        """> 0 where the condition fails, relative to V: V grows too much, or x+ leaves the box; -inf outside the level."""
        v, after = self.value(x), self.next(x)
        grows = self.value(after) - (1 - float(self.decay)) * v
        leaves = np.abs(after).max(1) - float(self.side)
        relative = np.where(leaves > 0, 1.0, grows / np.where(v > 0, v, 1.0))
        return np.where((v <= float(self.level)) & (v > 0), relative, -np.inf)

    def samples(self) -> Floats:
        """A grid of the box, rings around the origin down to 1e-3, and the level's boundary."""
        side, angles = float(self.side), np.linspace(0, 2 * np.pi, 721)
        grid = np.linspace(-side, side, 601)
        ring = np.stack([np.cos(angles), np.sin(angles)], 1)
        rings = [ring * radius for radius in np.geomspace(1e-3, 1, 120)]
        scale = np.sqrt(max(float(self.level), 0) / self.value(ring))[:, None]
        edge = [ring * scale * (1 - step) for step in (1e-9, 1e-6, 1e-3)]
        points = np.concatenate([np.array(np.meshgrid(grid, grid)).reshape(2, -1).T, *rings, *edge])
        return np.asarray(points[np.abs(points).max(1) <= side])

    def violation(self) -> tuple[Fraction, Fraction] | None:
        """A point where the condition fails, confirmed at 60 digits; None where no sample shows one."""
        points = self.samples()
        worst = self.excess(points)
        for k in np.argsort(-worst, kind="stable")[:20].tolist():
            point = (Fraction(float(points[k, 0])), Fraction(float(points[k, 1])))
            if worst[k] > -1e-9 and self.fails_at(point):
                return point
        return None

    def fails_at(self, point: Sequence[Fraction]) -> bool:
        with mpmath.workdps(DIGITS):
            x = [exact(q) for q in point]
            v = self._value_exactly(x)
            if v > exact(self.level) or any(abs(q) > self.side for q in point) or not any(point):
                return False
            u = self._network_exactly(x) - self._network_exactly([mpmath.mpf(0)] * 2) + exact(self.shift)
            u = max(-exact(self.limit), min(exact(self.limit), u))
            turn = 2 * u - mpmath.cos(x[1]) / (5 - mpmath.sin(x[1]))
            after = [x[0] + exact(self.drift) * mpmath.sin(x[1]), x[1] + turn / 20]
            grown = self._value_exactly(after) > (1 - exact(self.decay)) * v
            return bool(grown or max(map(abs, after)) > exact(self.side))

    def _value_exactly(self, x: list[Any]) -> Any:
        rows = [sum(exact(float(f)) * a for f, a in zip(row, x, strict=True)) for row in self.factor]
        return exact(self.plus) * sum(a * a for a in x) + sum(r * r for r in rows)

    def _network_exactly(self, x: list[Any]) -> Any:
        for k, (weight, bias) in enumerate(self.layers):
            x = [
                sum((mpmath.mpf(float(w)) * a for w, a in zip(row, x, strict=True)), mpmath.mpf(float(b)))
                for row, b in zip(weight, bias, strict=True)
            ]
            x = [max(a, mpmath.mpf(0)) for a in x] if k < len(self.layers) - 1 else x
        return x[0]

    def false_tags(self, leaves: Sequence[tuple[Box, str]], core: Box | None) -> Iterator[tuple[Box, str]]:
        """Leaves whose tag is not true of some point of their box. The decrease is asked of the whole box, whatever V there."""
        steps = np.linspace(0, 1, 9)
        unit = np.array(np.meshgrid(steps, steps)).reshape(2, -1).T
        for box, tag in leaves:
            empty = any(a > b for a, b in box)
            if empty or tag == "e":
                if not (empty and tag == "e"):
                    yield box, tag
                continue
            low, high = (np.array([float(side[k]) for side in box]) for k in (0, 1))
            x = low + (high - low) * unit
            if tag == "c":
                if core is None or any(a < c or b > d for (a, b), (c, d) in zip(box, core, strict=True)):
                    yield box, tag
            elif tag == "i" or (tag == "o" and bool((self.value(x) < float(self.level) * (1 - 1e-9)).any())):
                yield box, tag
            elif tag == "d":
                after = self.next(x)
                fall = (1 - float(self.decay)) * self.value(x) - self.value(after)
                if bool((fall < -1e-9).any()) or bool((np.abs(after) > float(self.side) * (1 + 1e-9)).any()):
                    yield box, tag


# A continuous loop with polynomial dynamics: everything in rationals.


@dataclass
class Oscillator:
    """x1' = x2 + drift, x2' = -a x1 - b x2 + c x1^3; V = x^T P x, P = [[p, q], [q, s]]. Claim: the origin is an equilibrium, no
    point with V <= level is on the boundary of the box |x| <= side, and V' < 0 at the others but the origin."""

    a: Fraction = Fraction(1)
    b: Fraction = Fraction(1)
    c: Fraction = Fraction(1, 4)
    drift: Fraction = Fraction(0)
    form: tuple[Fraction, Fraction, Fraction] = (Fraction(3, 2), Fraction(1, 2), Fraction(1))
    level: Fraction = Fraction(1, 2)
    side: Fraction = Fraction(1)

    @property
    def box(self) -> Box:
        return ((-self.side, self.side),) * 2

    @property
    def at_rest(self) -> bool:
        return self.drift == 0

    @property
    def definite(self) -> bool:
        p, q, s = self.form
        return p > 0 and p * s > q * q

    def fill(self, document: dict[str, Any]) -> None:
        p, q, s = map(str, self.form)
        document["equations"] = [f"x2 + ({self.drift})", f"-({self.a})*x1 - ({self.b})*x2 + ({self.c})*x1^3"]
        document["V"]["quadratic"] = [[p, q], [q, s]]
        document["level"] = str(self.level)

    def into(self, data: bytes) -> bytes:
        return data

    def value(self, x: Any, y: Any) -> Any:
        p, q, s = self._numbers(x, self.form)
        return p * x * x + 2 * q * x * y + s * y * y

    def rate(self, x: Any, y: Any) -> Any:
        p, q, s = self._numbers(x, self.form)
        a, b, c, drift = self._numbers(x, (self.a, self.b, self.c, self.drift))
        return 2 * ((p * x + q * y) * (y + drift) + (q * x + s * y) * (c * x * x * x - a * x - b * y))

    @staticmethod
    def _numbers(x: Any, exactly: Sequence[Fraction]) -> Sequence[Any]:
        return exactly if isinstance(x, Fraction) else [float(q) for q in exactly]

    def violation(self) -> tuple[Fraction, Fraction] | None:
        side, angles = float(self.side), np.linspace(0, 2 * np.pi, 1441)
        grid = np.linspace(-side, side, 801)
        points = [np.array(np.meshgrid(grid, grid)).reshape(2, -1)]
        points += [r * side * np.stack([np.cos(angles), np.sin(angles)]) for r in np.geomspace(1e-6, 1, 60)]
        x, y = np.concatenate(points, 1)
        inside = (
            (np.abs(x) <= side)
            & (np.abs(y) <= side)
            & (self.value(x, y) <= float(self.level))
            & ((x != 0) | (y != 0))
        )
        edge = (np.abs(x) == side) | (np.abs(y) == side)
        bad = np.where(inside, np.where(edge, np.inf, self.rate(x, y) / (x * x + y * y + (x == 0))), -np.inf)
        for k in np.argsort(-bad, kind="stable")[:20].tolist():
            point = Fraction(float(x[k])), Fraction(float(y[k]))
            if self.fails_at(point):
                return point
        return None

    def fails_at(self, point: Sequence[Fraction]) -> bool:
        x, y = point
        inside = max(abs(x), abs(y)) <= self.side and self.value(x, y) <= self.level and (x, y) != (0, 0)
        return bool(inside and (max(abs(x), abs(y)) == self.side or self.rate(x, y) >= 0))

    def false_tags(self, leaves: Sequence[tuple[Box, str]], core: Box | None) -> Iterator[tuple[Box, str]]:
        steps = [Fraction(k, 8) for k in range(9)]
        for box, tag in leaves:
            empty = any(a > b for a, b in box)
            if empty or tag == "e":
                if not (empty and tag == "e"):
                    yield box, tag
                continue
            (a, b), (c, d) = box
            points = [(a + (b - a) * u, c + (d - c) * v) for u in steps for v in steps]
            if tag == "c":
                if core is None or any(a < c or b > d for (a, b), (c, d) in zip(box, core, strict=True)):
                    yield box, tag
            elif (
                tag == "i"
                or (tag == "o" and any(self.value(*p) <= self.level for p in points))
                or (tag == "d" and any(self.rate(*p) >= 0 for p in points))
            ):
                yield box, tag
