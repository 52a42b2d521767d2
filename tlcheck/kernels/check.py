"""Every kernel against exact arithmetic, on hostile numbers.

A result is a lower bound (``shim.h``: upper ends are negatives), and is compared with the exact number in integers: it must
not be above it, nor far below it where no range ends. Results that are not finite claim nothing and are counted. What the
statements are, and why they hold: ``kernels/README.md``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.kernels.calls import Calls, Floats, checked
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.tiles import Tiles

Random = np.random.Generator
Draw = Callable[[Random, tuple[int, ...]], Floats]
Ints = NDArray[np.object_]


def _scaled(low: int, high: int) -> Draw:
    return lambda rng, shape: np.ldexp(rng.uniform(-2, 2, shape), rng.integers(low, high, shape))


def _special(rng: Random, shape: tuple[int, ...]) -> Floats:
    values = [0.0, -0.0, 1.0, -1.0, 1 + 2.0**-52, 1 - 2.0**-53, 1 / 3, -1 / 3, 2.0**-30, 5e-324, -5e-324]
    return rng.choice(values, shape)


def _cancelling(rng: Random, shape: tuple[int, ...]) -> Floats:
    """Every second entry is nearly the negative of the one before."""
    x = rng.uniform(-2, 2, shape)
    flat = x.reshape(-1)
    half = flat.size // 2
    flat[1 : 2 * half : 2] = -flat[: 2 * half : 2] * (1 + rng.choice([-1, 0, 1], half) * 2.0**-52)
    return x


KINDS: Final[dict[str, Draw]] = {
    "ordinary": lambda rng, shape: rng.uniform(-2, 2, shape),
    "range": _scaled(-40, 40),
    "subnormal": _scaled(-1070, -500),
    "huge": _scaled(400, 508),
    "largest": _scaled(900, 1023),
    "special": _special,
    "float32": lambda rng, shape: rng.uniform(-2, 2, shape).astype(np.float32).astype(np.float64),
    "cancelling": _cancelling,
}
ENDLESS: Final = ("huge", "largest")
"""Kinds whose sums leave the range: their bounds may be as loose as they like."""


@dataclass(frozen=True, eq=False)
class Exact:
    """ints * 2^exponent: exact numbers, elementwise."""

    ints: Ints
    exponent: int

    @staticmethod
    def of(x: Floats) -> Exact:
        fractions, exponents = np.frexp(np.where(np.isfinite(x), x, 0.0))
        least = int(exponents.min(initial=0)) - 53
        wide = np.ldexp(fractions, 53).astype(np.int64).astype(object)
        shifts = (exponents - 53 - least).astype(object)
        return Exact(np.asarray(wide << shifts, dtype=object), least)

    def _at(self, exponent: int) -> Ints:
        shifted: Ints = self.ints << (self.exponent - exponent)
        return shifted

    def __add__(self, other: Exact) -> Exact:
        least = min(self.exponent, other.exponent)
        return Exact(self._at(least) + other._at(least), least)

    def __neg__(self) -> Exact:
        return Exact(-self.ints, self.exponent)

    def __mul__(self, other: Exact) -> Exact:
        return Exact(self.ints * other.ints, self.exponent + other.exponent)

    def __matmul__(self, other: Exact) -> Exact:
        return Exact(np.dot(self.ints, other.ints), self.exponent + other.exponent)

    def __abs__(self) -> Exact:
        return Exact(np.abs(self.ints), self.exponent)

    def sum(self) -> Exact:
        """Over the last axis."""
        return Exact(np.asarray(self.ints.sum(axis=-1), dtype=object), self.exponent)

    def above(self, other: Exact) -> NDArray[np.bool_]:
        least = min(self.exponent, other.exponent)
        return np.asarray(self._at(least) > other._at(least), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Case:
    """Lower bounds ``found`` (``finite``: where they are numbers) of ``exact`` numbers; ``size``: of sums of ``terms`` products,
    the sum of their magnitudes. ``silent``: a row without a bound says so."""

    found: Exact
    finite: NDArray[np.bool_]
    exact: Exact
    size: Exact
    terms: int
    silent: bool = True

    def wrong(self) -> int:
        return int((self.found.above(self.exact) & self.finite).sum()) + (not self.silent)

    def loose(self) -> int:
        """Bounds that are further below than twice what the roundings of a sum explain."""
        far = self.exact + -(self.size * _power(2 * self.terms + 8, -52) + _power(2 * self.terms + 8, -1074))
        return int((far.above(self.found) & self.finite).sum())


def _power(n: int, exponent: int) -> Exact:
    return Exact(np.array(n, dtype=object), exponent)


@dataclass
class Count:
    """What came out of a kernel's cases, by numbers of bounds."""

    kernel: str
    entries: int = 0
    violations: int = 0
    loose: int = 0
    not_finite: int = 0
    kinds: set[str] = field(default_factory=set)

    @property
    def passed(self) -> bool:
        return not self.violations and not self.loose

    def add(self, kind: str, case: Case) -> None:
        self.entries += case.finite.size
        self.violations += case.wrong()
        self.not_finite += int((~case.finite).sum())
        if kind not in ENDLESS:
            self.loose += case.loose() + int((~case.finite).sum())
        self.kinds.add(kind)


def check(calls: Calls, entries: int, seed: int = 0, kernels: tuple[str, ...] = ()) -> Iterator[Count]:
    """Each kernel (or those named), until it has been asked for so many bounds."""
    for name in kernels or tuple(CASES):
        rng, count = np.random.default_rng([seed, *name.encode()]), Count(name)
        while count.entries < entries:
            for kind, draw in KINDS.items():
                for case in CASES[name](calls, rng, draw):
                    count.add(kind, case)
        yield count


def _lower(found: Floats, exact: Exact, size: Exact, terms: int) -> Case:
    return Case(
        Exact.of(found), np.isfinite(found), exact, size, terms, silent=not bool((found == np.inf).any())
    )


def _box(rng: Random, draw: Draw, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Half of the boxes are points."""
    a, b = draw(rng, shape), draw(rng, shape)
    b = np.where(rng.random(shape[0])[:, None] < 0.5, a, b)
    return np.minimum(a, b), np.maximum(a, b)


def _least(a: Floats, low: Floats, high: Floats) -> Exact:
    """a x at its least over [low, high], elementwise."""
    return Exact.of(a) * Exact.of(np.where(a >= 0, low, high))


def _concretise(calls: Calls, rng: Random, draw: Draw) -> Iterator[Case]:
    domains, rows, n = (int(k) for k in rng.integers(1, (8, 12, 70)))
    block, value = draw(rng, (domains, rows, n)), draw(rng, (domains, rows))
    low, high = _box(rng, draw, (int(rng.choice([1, domains])), n))
    terms = _least(block, low[:, None, :], high[:, None, :])
    found = calls.concretise(block, low, high, value)
    yield _lower(found, Exact.of(value) + terms.sum(), abs(Exact.of(value)) + abs(terms).sum(), n)
    found = calls.concretise(block, None, None, value)
    exact = Exact.of(block)
    yield _lower(found, Exact.of(value) + exact.sum(), abs(Exact.of(value)) + abs(exact).sum(), n)


def _step(calls: Calls, rng: Random, draw: Draw) -> Iterator[Case]:
    domains, rows, n = (int(k) for k in rng.integers(1, (4, 6, 70)))
    block, value = draw(rng, (domains, rows, n)), draw(rng, (domains, rows))
    other = draw(rng, block.shape) if rng.random() < 0.5 else None
    owners = int(rng.choice([1, domains]))
    lines = tuple(draw(rng, (owners, n)) for _ in range(4))
    below = np.maximum(draw(rng, (int(rng.choice([1, domains])), n)), 0.0)
    found, total = calls.step(block, other, lines, below, value)
    ls, lt, us, ut = (x[:, None, :] for x in lines)
    a, b = Exact.of(block), Exact.of(np.zeros(block.shape) if other is None else other)
    product, height = a * Exact.of(np.where(block >= 0, ls, us)), a * Exact.of(np.where(block >= 0, lt, ut))
    exact = product + b
    yield _lower(found, exact, abs(product) + abs(b), 1)
    lost = (exact + -Exact.of(found)) * Exact.of(below[:, None, :])
    rest = Exact.of(value) + height.sum() + -lost.sum()
    most = (
        abs(height).sum()
        + abs(Exact.of(value))
        + ((abs(product) + abs(b)) * Exact.of(below[:, None, :])).sum()
    )
    yield _rows_of(total, found, rest, most, n)


def _rows_of(total: Floats, coefficients: Floats, exact: Exact, size: Exact, terms: int) -> Case:
    """Rows whose value is a bound only while their coefficients are numbers."""
    broken = ~np.isfinite(coefficients).all(axis=-1) & np.isfinite(total)
    return Case(Exact.of(total), np.isfinite(total), exact, size, terms, silent=not bool(broken.any()))


def _scale(calls: Calls, rng: Random, draw: Draw) -> Iterator[Case]:
    domains, n = (int(k) for k in rng.integers(1, (6, 300)))
    factor, (low, high) = draw(rng, (n,)), _box(rng, draw, (domains, n))
    start, end = _box(rng, draw, (domains, n))
    yl, nu = start.copy(), -end
    calls.scale(factor, low, high, yl, nu)
    f = np.broadcast_to(factor, low.shape)
    for found, least, begin in ((yl, _least(f, low, high), start), (nu, _least(-f, low, high), -end)):
        yield _lower(found, least + Exact.of(begin), abs(least) + abs(Exact.of(begin)), 1)


def _tiles(rng: Random, draw: Draw) -> tuple[Tiles, NDArray[np.int64]]:
    """A product, and for each place and inner index the place and channel (as one index, or -1) that it takes."""
    places, sources, taps, channels = (int(k) for k in rng.integers(1, (5, 5, 4, 9)))
    groups, columns = int(rng.choice([1, 1, 2, 3])), int(rng.choice([1, 3, 17, 65, 80]))
    if rng.random() < 0.5:  # a dense map
        places = sources = taps = groups = 1
        channels = int(rng.integers(1, 40))
    link = rng.integers(-1, sources, (places, taps)).astype(np.int32)
    weights = draw(rng, (groups, taps * channels, columns))
    taken = np.where(link[:, :, None] < 0, -1, link[:, :, None] * channels + np.arange(channels))
    return Tiles(weights, link, sources, channels), taken.reshape(places, -1)


def _gathered(tiles: Tiles, taken: NDArray[np.int64], x: Floats, group: int) -> Floats:
    """x (rows, n_in) -> (rows * places, taps * channels) of one group."""
    mine = x.reshape(-1, tiles.sources, tiles.groups, tiles.channels)[:, :, group].reshape(x.shape[0], -1)
    return np.where(taken < 0, 0.0, mine[:, taken]).reshape(-1, taken.shape[1])


def _affine(calls: Calls, rng: Random, draw: Draw) -> Iterator[Case]:
    tiles, taken = _tiles(rng, draw)
    domains = int(rng.integers(1, 6))
    low, high = _box(rng, draw, (domains, tiles.n_in))
    start, end = _box(rng, draw, (domains, tiles.n_out))
    yl, nu = start.copy(), -end
    calls.affine(tiles, low, high, yl, nu)
    for g in range(tiles.groups):
        a, b = (_gathered(tiles, taken, x, g) for x in (low, high))
        for w, found, begin in ((tiles.weights[g], yl, start), (-tiles.weights[g], nu, -end)):
            plus, minus = Exact.of(np.maximum(w, 0.0)), Exact.of(np.minimum(w, 0.0))
            first, second = Exact.of(a) @ plus, Exact.of(b) @ minus
            y = Exact.of(_group(tiles, begin, g))
            size = abs(Exact.of(a)) @ plus + abs(Exact.of(b)) @ abs(minus) + abs(y)
            yield _lower(_group(tiles, found, g), first + second + y, size, taken.shape[1])


def _group(tiles: Tiles, y: Floats, group: int) -> Floats:
    """y (rows, n_out) -> (rows * places, columns) of one group."""
    return y.reshape(-1, tiles.groups, tiles.columns)[:, group]


def _adjoint(kernel: str) -> Callable[[Calls, Random, Draw], Iterator[Case]]:
    def cases(calls: Calls, rng: Random, draw: Draw) -> Iterator[Case]:
        tiles, taken = _tiles(rng, draw)
        domains, rows = (int(k) for k in rng.integers(1, (4, 30)))
        block = draw(rng, (domains, rows, tiles.n_in))
        below = np.maximum(draw(rng, (int(rng.choice([1, domains])), tiles.n_out)), 0.0)
        below *= rng.choice([0.0, 1.0])
        found, charges = calls.adjoint(tiles, block, below, kernel)
        flat, owned = (
            found.reshape(-1, tiles.n_out),
            np.repeat(np.broadcast_to(below, (domains, tiles.n_out)), rows, axis=0),
        )
        parts = charges.reshape(
            -1, tiles.places, tiles.groups, charges.shape[-1] // (tiles.places * tiles.groups)
        )
        for g in range(tiles.groups):
            x = Exact.of(_gathered(tiles, taken, block.reshape(-1, tiles.n_in), g))
            w, c = Exact.of(tiles.weights[g]), _group(tiles, flat, g)
            exact, size = x @ w, abs(x) @ abs(w)
            yield _lower(c, exact, size, taken.shape[1])
            xn = Exact.of(_group(tiles, owned, g))
            lost = ((exact + -Exact.of(c)) * xn).sum()
            mine = parts[:, :, g].reshape(-1, parts.shape[-1])
            total = Exact.of(mine).sum()
            finite = np.asarray(np.isfinite(mine).all(axis=-1))
            broken = ~np.isfinite(c).all(axis=-1) & finite
            terms = taken.shape[1] + tiles.columns
            yield Case(total, finite, -lost, (size * xn).sum(), terms, silent=not bool(broken.any()))

    return cases


CASES: Final[dict[str, Callable[[Calls, Random, Draw], Iterator[Case]]]] = {
    "concretise": _concretise,
    "step": _step,
    "scale": _scale,
    "affine": _affine,
    "adjoint": _adjoint("adjoint"),
    "adjoint_tensor": _adjoint("adjoint_tensor"),
}
"""The kernels: what each is asked, and the exact answers."""

EXTENTS: Final = (
    (),
    (0,),
    (-1,),
    (3, -2),
    (1 << 31, 1 << 31),
    (1 << 62, 4),
    (1 << 37,),
    ((1 << 37) + 1,),
    (7, 11, 13),
)
"""Sizes with every kind of answer."""


def sizes_agree(library: ctypes.CDLL) -> bool:
    """The library takes the sizes that ``calls.checked`` takes."""
    for extents in EXTENTS:
        array = (ctypes.c_longlong * len(extents))(*extents)
        taken = library.tlc_sizes(array, len(extents)) == 0
        if taken != _taken(extents):
            return False
    return True


def _taken(extents: tuple[int, ...]) -> bool:
    try:
        checked(*extents)
    except OutOfRange:
        return False
    return True
