"""Mutants of two real claims, fifty and more of each family, with the verdicts that the oracle allows for them.

Families: a published PINN of Burgers' equation (residual on a part of the domain, initial condition, left boundary) and the
published path-tracking controller with quadratic V. The certificates are found here, by ``certify-pinn`` and ``certify-lyapunov``.

    the claim is false, and its evidence has a point that shows it        REFUTED
    the claim is false at a sample (confirmed at 60 digits)               REFUTED or UNPROVEN
    true as far as samples go, and no stronger than what was proved       CERTIFIED
    true as far as samples go                                             CERTIFIED or UNPROVEN
    a leaf's tag is false at a sample, the claim is true                  UNPROVEN
    no tree, a point outside the domain, another file than the manifest's INVALID (exit code 3)
"""

from __future__ import annotations

import copy
import json
import random
import sys
import zipfile
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import CERTIFICATES, DATA
from tests.mutations.oracle import (
    Box,
    Equation,
    Oscillator,
    Pinn,
    Tracking,
    cuts,
    exact,
    halvings,
    highest,
    volume,
)
from tlcheck.prover import pinn_search as pinn
from tlcheck.prover import stability_search as stability

sys.path.append(str(CERTIFICATES / "producers"))
import stability_cases

CERTIFIED, REFUTED, UNPROVEN, INVALID = "CERTIFIED", "REFUTED", "UNPROVEN", "INVALID"
Allowed = frozenset[str]
Document = dict[str, Any]
F = Fraction

BURGERS = DATA / "scientific" / "pinn" / "burgers_tanh_lbfgs.onnx"
TRACKING = DATA / "scientific" / "lyapunov" / "vi_discrete" / "path_tracking_state_feedback_quadratic.json"
SLIGHTLY = F(1, 10**6)


@dataclass(frozen=True)
class Mutant:
    """``files``: a claim file "claim.json" and what it names; with ``bundle`` a whole bundle."""

    family: str
    kind: str
    files: dict[str, bytes]
    allowed: Allowed
    bundle: bool = False


# Burgers


@dataclass
class PinnClaim:
    """The artifact's numbers; ``kept``: the claim follows from the one that was proved, with the evidence it had."""

    net: Pinn
    equation: Equation
    domain: Box
    at_most: Fraction
    at_least: Fraction | None
    witness: tuple[Fraction, ...] | None
    order: int
    tree: str
    kept: bool = False
    norm: str = "sup"

    def allowed(self) -> Allowed:
        found = halvings(self.tree, self.domain)
        if found is None or not 1 <= self.order <= 12:
            return frozenset({INVALID})
        if sum(map(volume, found), F(0)) != volume(self.domain):
            raise ValueError("the oracle's cells are no tiling")
        value = None
        if self.witness is not None:
            if not _inside(self.witness, self.domain):
                return frozenset({INVALID})
            value = self.equation.squared_exactly(self.net, self.witness)
            if value > exact(self.at_most):
                return frozenset({REFUTED})
        elif self.at_least is not None:
            return frozenset({INVALID})
        if self._false():
            return frozenset({REFUTED, UNPROVEN})
        if self.at_least is not None and value < exact(self.at_least):
            return frozenset({UNPROVEN})
        return frozenset({CERTIFIED}) if self.kept else frozenset({CERTIFIED, UNPROVEN})

    def worst(self) -> tuple[Fraction, ...]:
        return highest(lambda points: self.equation.squared(self.net, points), self.domain)

    def _false(self) -> bool:
        return bool(self.equation.squared_exactly(self.net, self.worst()) > exact(self.at_most))

    def files(self, model: bytes) -> dict[str, bytes]:
        document = {
            "format": "tlcheck.pinn/1", "model": "model.onnx", "pde": "pde.toml", "part": "part",
            "at_most": str(self.at_most), "order": self.order, "tree": self.tree, "norm": self.norm,
            "witness": None if self.witness is None else [str(q) for q in self.witness],
            "at_least": None if self.at_least is None else str(self.at_least),
        }  # fmt: skip
        return {
            "claim.json": json.dumps(document).encode(),
            "pde.toml": pde_text(self.equation, self.domain).encode(),
            "model.onnx": self.net.into(model),
        }


def pde_text(equation: Equation, domain: Box) -> str:
    whole = [
        (min(a, low), max(b, high)) for (a, b), (low, high) in zip(domain, ((0, 1), (-1, 1)), strict=True)
    ]
    (t0, t1), (x0, x1) = whole
    held = ", ".join(
        f'{name} = "{a}"' if a == b else f'{name} = ["{a}", "{b}"]'
        for name, (a, b) in zip("tx", domain, strict=True)
    )
    return f"""format = "tlcheck.pde/1"
coordinates = ["t", "x"]
outputs = ["u"]
[constants]
nu = "0.01/pi"
[domain]
t = ["{t0}", "{t1}"]
x = ["{x0}", "{x1}"]
[parts.part]
at = {{ {held} }}
zero = "{equation.text}"
"""


def _inside(point: tuple[Fraction, ...], domain: Box) -> bool:
    return all(a <= q <= b for q, (a, b) in zip(point, domain, strict=True))


PARTS: dict[str, tuple[Equation, Box]] = {
    "residual": (Equation("residual", F(1), F(1)), ((F(1, 2), F(17, 32)), (F(1, 4), F(5, 16)))),
    "initial": (Equation("initial", F(1), F(1)), ((F(0), F(0)), (F(-1), F(1)))),
    "boundary": (Equation("edge", F(0), F(0)), ((F(0), F(1)), (F(-1), F(-1)))),
}


def pinn_base(part: str, folder: Path) -> tuple[PinnClaim, dict[str, bytes]]:
    """The claim as certified, and its bundle's files."""
    equation, domain = PARTS[part]
    (folder / "pde.toml").write_text(pde_text(equation, domain))
    target = folder / f"{part}.tlcert"
    found = pinn.certify(BURGERS, folder / "pde.toml", target, pinn.Request(jobs=1), lambda *_: None)
    if not all(p.complete and not p.false for p in found):
        raise ValueError("no certificate to mutate")
    files = _unpacked(target)
    document = json.loads(files["part.json"])
    claim = PinnClaim(
        Pinn.read(BURGERS.read_bytes()), equation, domain, F(document["at_most"]), F(document["at_least"]),
        tuple(map(F, document["witness"])), document["order"], document["tree"], kept=True,
    )  # fmt: skip
    return claim, files


def _unpacked(target: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(target) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PinnEdit = Callable[[PinnClaim, random.Random], None]


def _entry(net: Pinn, chance: random.Random) -> tuple[Any, tuple[int, ...]]:
    array = chance.choice([a for layer in net.layers for a in layer])
    return array, tuple(chance.randrange(n) for n in array.shape)


def weight_by_an_ulp(c: PinnClaim, chance: random.Random) -> None:
    array, at = _entry(c.net, chance)
    array[at] = np.nextafter(array[at], np.float32(chance.choice([-99, 99])))
    c.kept = False


def weight_by_an_ulp_with_room(c: PinnClaim, chance: random.Random) -> None:
    """Bounds a hundredth wider: what an ulp moves is far less."""
    weight_by_an_ulp(c, chance)
    c.at_most *= F(101, 100)
    c.at_least = None if c.at_least is None else c.at_least * F(99, 100)
    c.kept = True


def weight_by_much(c: PinnClaim, chance: random.Random) -> None:
    array, at = _entry(c.net, chance)
    array[at] += np.float32(chance.choice([-1, 1]) * chance.choice([0.003, 0.03, 0.3]))
    c.kept = False


def weight_by_much_and_its_point(c: PinnClaim, chance: random.Random) -> None:
    """The witness is a point that violates the claim, where there is one."""
    weight_by_much(c, chance)
    c.witness = c.worst()
    c.at_least = None


def coefficient(c: PinnClaim, chance: random.Random) -> None:
    name = chance.choice(["a", "b"])
    change = chance.choice([F(1, 10**9), F(1, 100), F(-1, 10), F(1)])
    c.equation = replace(c.equation, **{name: getattr(c.equation, name) + change})
    c.kept = False


def dropped_leaf(c: PinnClaim, chance: random.Random) -> None:
    k = chance.choice([k for k, token in enumerate(c.tree) if token == "."])
    c.tree = c.tree[:k] + c.tree[k + 1 :]


def added_leaf(c: PinnClaim, chance: random.Random) -> None:
    k = chance.randrange(len(c.tree) + 1)
    c.tree = c.tree[:k] + "." + c.tree[k:]


def axes_swapped(c: PinnClaim, chance: random.Random) -> None:
    """A cut across the other coordinate: still a cover where that is free."""
    cut = [k for k, token in enumerate(c.tree) if token != "."]
    if cut:
        k = chance.choice(cut)
        c.tree = c.tree[:k] + str(1 - int(c.tree[k])) + c.tree[k + 1 :]
    else:
        c.tree = chance.choice(["0..", "1.."])
    c.kept = False


def subtrees_swapped(c: PinnClaim, chance: random.Random) -> None:
    """Tokens reversed, or two neighbours exchanged: perhaps a tree, perhaps not."""
    if chance.random() < 0.3:
        c.tree = c.tree[::-1]
    else:
        k = chance.randrange(max(len(c.tree) - 1, 1))
        c.tree = c.tree[:k] + c.tree[k : k + 2][::-1] + c.tree[k + 2 :]
    c.kept = False


def leaf_cut(c: PinnClaim, chance: random.Random) -> None:
    """A finer cover: true, and still proved."""
    k = chance.choice([k for k, token in enumerate(c.tree) if token == "."])
    axis = chance.choice([i for i, (a, b) in enumerate(c.domain) if a < b])
    c.tree = f"{c.tree[:k]}{axis}..{c.tree[k + 1 :]}"


def leaves_joined(c: PinnClaim, chance: random.Random) -> None:
    pairs = [k for k in range(len(c.tree) - 2) if c.tree[k] != "." and c.tree[k + 1 : k + 3] == ".."]
    if pairs:
        k = chance.choice(pairs)
        c.tree = f"{c.tree[:k]}.{c.tree[k + 3 :]}"
    c.kept = not pairs


def domain_changed(c: PinnClaim, chance: random.Random) -> None:
    """One end moved in or out; the witness stays where it was."""
    i = chance.choice([i for i, (a, b) in enumerate(c.domain) if a < b])
    a, b = c.domain[i]
    step = (b - a) * chance.choice([F(-1, 4), F(-1, 10**6), F(1, 10**6), F(1, 8)])
    side = (a - step, b) if chance.random() < 0.5 else (a, b + step)
    c.domain = (*c.domain[:i], side, *c.domain[i + 1 :])
    c.kept = False


def bound_tightened(c: PinnClaim, chance: random.Random) -> None:
    """Below the true maximum: the witness shows it."""
    c.at_most = c.at_most * chance.choice([F(0), F(1, 2), F(9, 10), F(99, 100)])
    c.at_least, c.kept = None, False


def bound_just_below_the_witness(c: PinnClaim, chance: random.Random) -> None:
    """No cell as a whole is above it: the witness alone shows it."""
    if c.at_least is not None:
        c.at_most = c.at_least * (1 - F(1, 10 ** chance.choice([5, 8])))
    c.at_least, c.kept = None, False


def bound_tightened_without_witness(c: PinnClaim, chance: random.Random) -> None:
    bound_tightened(c, chance)
    c.witness = None


def bound_widened(c: PinnClaim, chance: random.Random) -> None:
    c.at_most = c.at_most * chance.choice([1 + F(1, 10**12), F(2), F(10**30)])


def lower_bound(c: PinnClaim, chance: random.Random) -> None:
    factor = chance.choice([F(0), F(1, 2), 1 + F(1, 10**6), F(3)])
    c.at_least = None if c.at_least is None else c.at_least * factor


def witness_moved(c: PinnClaim, chance: random.Random) -> None:
    i = chance.choice([i for i, (a, b) in enumerate(c.domain) if a < b])
    a, b = c.domain[i]
    place = a + (b - a) * F(chance.randrange(-300, 1300), 1000)
    if c.witness is not None:
        c.witness = (*c.witness[:i], place, *c.witness[i + 1 :])


def order_changed(c: PinnClaim, chance: random.Random) -> None:
    c.order = chance.choice([0, 1, 2, 3, 6, 13, -1])
    c.kept = False


def nothing(c: PinnClaim, chance: random.Random) -> None:
    """The certificate as found, without its lower bound and witness half of the time."""
    if chance.random() < 0.5:
        c.witness = c.at_least = None


PINN_EDITS: list[PinnEdit] = [
    weight_by_an_ulp, weight_by_an_ulp_with_room, weight_by_much, weight_by_much_and_its_point, coefficient, dropped_leaf, added_leaf,
    axes_swapped, subtrees_swapped, leaf_cut, leaves_joined, domain_changed, bound_tightened,
    bound_just_below_the_witness, bound_tightened_without_witness, bound_widened, lower_bound, witness_moved, order_changed, nothing,
]  # fmt: skip


class _Every:
    def __contains__(self, kind: object) -> bool:
        return True


EVERY: Container[str] = _Every()


def pinn_mutants(part: str, folder: Path, each: int, kinds: Container[str] = EVERY) -> Iterator[Mutant]:
    """``each`` of every kind, or of these kinds, and files exchanged in the bundle."""
    base, files = pinn_base(part, folder)
    model = BURGERS.read_bytes()
    family = f"burgers {part}"
    for edit in (e for e in PINN_EDITS if e.__name__ in kinds):
        for seed in range(each):
            claim = copy.deepcopy(base)
            edit(claim, random.Random(f"{part} {edit.__name__} {seed}"))
            yield Mutant(family, edit.__name__, claim.files(model), claim.allowed())
    moved = copy.deepcopy(base)
    weight_by_an_ulp(moved, random.Random(1))
    yield from exchanged(
        family, files, {"model.onnx": moved.net.into(model), "pde.toml": files["pde.toml"] + b"\n"}
    )


def exchanged(family: str, files: dict[str, bytes], others: dict[str, bytes]) -> Iterator[Mutant]:
    """The bundle as it was, with one file that is not the manifest's; and with the manifest made to fit it."""
    yield Mutant(family, "bundle as found", files, frozenset({CERTIFIED}), True)
    for name, data in others.items():
        yield Mutant(family, "file exchanged", files | {name: data}, frozenset({INVALID}), True)
        yield Mutant(
            family, "file missing", {k: v for k, v in files.items() if k != name}, frozenset({INVALID}), True
        )
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] |= {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
        agreed = files | {name: data, "manifest.json": json.dumps(manifest).encode()}
        yield Mutant(family, "file and hash exchanged", agreed, frozenset({CERTIFIED, UNPROVEN}), True)


# Path tracking


@dataclass
class LoopClaim:
    """``document``: the artifact; ``loop``: what the oracle is told of it (Tracking or Oscillator). ``kept``: as above."""

    loop: Any
    document: Document
    kept: bool = False
    points: list[tuple[Fraction, ...]] = field(default_factory=list)
    theorem: bool = True
    """The hypotheses on numbers hold: they are written down by the mutation."""

    def filled(self) -> Document:
        self.loop.fill(self.document)
        side = str(self.loop.side)
        region = {"lower": [f"-{side}"] * 2, "upper": [side] * 2}
        return self.document | {
            "region": region,
            "points": [[str(q) for q in point] for point in self.points],
        }

    @property
    def core(self) -> Box | None:
        c = self.document.get("core")
        return None if c is None else tuple((F(a), F(b)) for a, b in zip(c["lower"], c["upper"], strict=True))

    def allowed(self) -> Allowed:
        leaves = cuts(self.document["tree"], self.loop.box)
        if leaves is None:
            return frozenset({INVALID})
        if not self.loop.at_rest or any(map(self.loop.fails_at, self.points)):
            return frozenset({REFUTED})
        if self.loop.violation() is not None:
            return frozenset({REFUTED, UNPROVEN})
        if not self.theorem or self.core is None or next(self.loop.false_tags(leaves, self.core), None):
            return frozenset({UNPROVEN})
        return frozenset({CERTIFIED}) if self.kept else frozenset({CERTIFIED, UNPROVEN})

    def files(self, model: bytes) -> dict[str, bytes]:
        files = {"claim.json": json.dumps(self.filled()).encode()}
        return files | ({TRACKING.name: self.loop.into(model)} if model else {})


LoopEdit = Callable[[LoopClaim, random.Random], None]


def loop_base(folder: Path) -> tuple[LoopClaim, dict[str, bytes]]:
    (folder / TRACKING.name).write_bytes(TRACKING.read_bytes())
    (folder / "spec.json").write_bytes(stability_cases.encoded(stability_cases.specification(TRACKING.stem)))
    found = stability.certify(folder / "spec.json", folder / "loop.tlcert")
    if found.problem:
        raise ValueError("no certificate to mutate")
    files = _unpacked(folder / "loop.tlcert")
    return LoopClaim(Tracking.read(TRACKING.read_bytes()), json.loads(files["stability.json"]), True), files


def _loop_entry(c: LoopClaim, chance: random.Random) -> tuple[Any, tuple[int, ...]]:
    array = chance.choice([*(a for layer in c.loop.layers for a in layer), c.loop.factor])
    return array, tuple(chance.randrange(n) for n in array.shape)


def loop_ulp(c: LoopClaim, chance: random.Random) -> None:
    array, at = _loop_entry(c, chance)
    array[at] = float(np.nextafter(np.float32(array[at]), np.float32(chance.choice([-99, 99]))))
    c.kept = False


def loop_weight(c: LoopClaim, chance: random.Random) -> None:
    array, at = _loop_entry(c, chance)
    array[at] += float(np.float32(chance.choice([-1, 1]) * chance.choice([0.01, 0.1, 0.5, 2.0])))
    c.kept = False


def loop_weight_and_its_point(c: LoopClaim, chance: random.Random) -> None:
    loop_weight(c, chance)
    _with_point(c)


def controller(c: LoopClaim, chance: random.Random) -> None:
    """The controller the wrong way round, without effect or too strong; or another form of V."""
    weight, bias = c.loop.layers[-1]
    match chance.randrange(4):
        case 3:
            c.loop.factor[chance.randrange(2)] *= -2
        case k:
            c.loop.layers[-1] = (weight * (-1.0, 0.0, 4.0)[k], bias)
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def _with_point(c: LoopClaim) -> None:
    point = c.loop.violation()
    c.points = [] if point is None else [point]


def level(c: LoopClaim, chance: random.Random) -> None:
    factor = chance.choice([F(0), F(-1), F(1, 2), 1 - SLIGHTLY, 1 + SLIGHTLY, F(11, 10), F(3)])
    c.loop.level *= factor
    c.theorem = c.loop.level > 0
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def decay(c: LoopClaim, chance: random.Random) -> None:
    c.loop.decay = chance.choice([F(-1, 10), F(0), F(1, 10**6), F(1, 999), F(1, 10), F(1, 2), F(1), F(2)])
    c.theorem, c.kept = 0 < c.loop.decay <= 1, 0 < c.loop.decay <= F(1, 1000)
    if chance.random() < 0.5:
        _with_point(c)


def dynamics(c: LoopClaim, chance: random.Random) -> None:
    c.loop.drift += chance.choice([F(1, 10**12), F(1, 100), F(-1, 10), F(1, 2), F(-1, 5)])
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def clamp(c: LoopClaim, chance: random.Random) -> None:
    """Below 1/10 the origin is no equilibrium any more."""
    c.loop.limit = chance.choice(
        [F(9, 100), F(1, 10), F(3, 10), F(1, 2) - SLIGHTLY, F(1, 2) + SLIGHTLY, F(5)]
    )
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def shift(c: LoopClaim, chance: random.Random) -> None:
    c.loop.shift += chance.choice([F(1, 10**15), F(-1, 100), F(1, 2)])
    c.kept = False


def region(c: LoopClaim, chance: random.Random) -> None:
    c.loop.side = chance.choice([F(1, 2), F(2), 3 - SLIGHTLY, 3 + SLIGHTLY, F(6)])
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def quadratic(c: LoopClaim, chance: random.Random) -> None:
    c.loop.plus += chance.choice([F(1, 10**12), F(1, 100), F(1), F(-1, 100)])
    c.kept = False


def core(c: LoopClaim, chance: random.Random) -> None:
    """Smaller: leaves of the core are no longer in it. Larger: the lemma may fail. Or none."""
    factor = chance.choice([F(0), F(1, 2), 1 - SLIGHTLY, F(2), F(8), None])
    if factor is None:
        c.document["core"] = None
    else:
        for end in ("lower", "upper"):
            c.document["core"][end] = [str(F(q) * factor) for q in c.document["core"][end]]
    c.kept, c.theorem = False, factor != 0


def _words(c: LoopClaim, leaf: bool) -> tuple[list[str], list[int]]:
    words = c.document["tree"].split(" ")
    return words, [k for k, word in enumerate(words) if (word in "odice") is leaf]


def loop_dropped_leaf(c: LoopClaim, chance: random.Random) -> None:
    words, leaves = _words(c, True)
    del words[chance.choice(leaves)]
    c.document["tree"] = " ".join(words)


def loop_added_leaf(c: LoopClaim, chance: random.Random) -> None:
    words, _ = _words(c, True)
    words.insert(chance.randrange(len(words) + 1), chance.choice("od"))
    c.document["tree"] = " ".join(words)


def tag(c: LoopClaim, chance: random.Random) -> None:
    words, leaves = _words(c, True)
    k = chance.choice(leaves)
    words[k] = chance.choice([t for t in "odice" if t != words[k]])
    c.document["tree"] = " ".join(words)
    c.kept = False


def tags_exchanged(c: LoopClaim, chance: random.Random) -> None:
    words, leaves = _words(c, True)
    first = chance.choice(leaves)
    second = chance.choice([k for k in leaves if words[k] != words[first]])
    words[first], words[second] = words[second], words[first]
    c.document["tree"] = " ".join(words)
    c.kept = False


def cut_moved(c: LoopClaim, chance: random.Random) -> None:
    """To another place, perhaps outside its box: still a cover. Or across the other coordinate."""
    words, inner = _words(c, False)
    k = chance.choice(inner)
    axis = int(words[k][0])
    words[k] = chance.choice([f"{1 - axis}", f"{axis}@1/100", f"{axis}@7", f"{axis}@-7"])
    c.document["tree"] = " ".join(words)
    c.kept = False


def overlapping(c: LoopClaim, chance: random.Random) -> None:
    """A leaf cut at its end, or beyond: a half without inside, or an empty one beside the whole leaf."""
    words, leaves = _words(c, True)
    k = chance.choice(leaves)
    words[k] = chance.choice([f"0@100 {words[k]} e", f"1@-100 e {words[k]}", f"0 {words[k]} {words[k]}"])
    c.document["tree"] = " ".join(words)


LOOP_EDITS: list[LoopEdit] = [
    loop_ulp, loop_weight, loop_weight_and_its_point, controller, level, decay, dynamics, clamp, shift, region, quadratic, core,
    loop_dropped_leaf, loop_added_leaf, tag, tags_exchanged, cut_moved, overlapping,
]  # fmt: skip


def loop_mutants(folder: Path, each: int, kinds: Container[str] = EVERY) -> Iterator[Mutant]:
    base, files = loop_base(folder)
    model = TRACKING.read_bytes()
    for edit in (e for e in LOOP_EDITS if e.__name__ in kinds):
        for seed in range(each):
            claim = copy.deepcopy(base)
            edit(claim, random.Random(f"{edit.__name__} {seed}"))
            data = claim.files(model)
            yield Mutant("path tracking", edit.__name__, data, claim.allowed())
    other = copy.deepcopy(base)
    loop_ulp(other, random.Random(1))
    yield from exchanged("path tracking", files, {TRACKING.name: other.loop.into(model)})


# The oscillator of stability_cases


def coefficients(c: LoopClaim, chance: random.Random) -> None:
    name = chance.choice(["a", "b", "c"])
    setattr(
        c.loop, name, getattr(c.loop, name) + chance.choice([F(1, 10**12), F(-1, 100), F(1, 4), F(-3), F(3)])
    )
    c.kept = False
    if chance.random() < 0.5:
        _with_point(c)


def drift(c: LoopClaim, chance: random.Random) -> None:
    """The origin is no equilibrium any more."""
    c.loop.drift = chance.choice([F(1, 10**15), F(-1, 3)])


def form(c: LoopClaim, chance: random.Random) -> None:
    k = chance.randrange(3)
    change = chance.choice([F(1, 10**12), F(-1, 100), F(1, 4), F(-2), F(2)])
    c.loop.form = (*c.loop.form[:k], c.loop.form[k] + change, *c.loop.form[k + 1 :])
    c.kept, c.theorem = False, c.loop.definite
    if chance.random() < 0.5:
        _with_point(c)


OSCILLATOR_EDITS: list[LoopEdit] = [
    coefficients, drift, form, level, region, core, loop_dropped_leaf, loop_added_leaf, tag, tags_exchanged,
    cut_moved, overlapping,
]  # fmt: skip


def oscillator_mutants(folder: Path, each: int, kinds: Container[str] = EVERY) -> Iterator[Mutant]:
    (folder / "spec.json").write_bytes(stability_cases.encoded(stability_cases.oscillator()))
    if stability.certify(folder / "spec.json", folder / "loop.tlcert").problem:
        raise ValueError("no certificate to mutate")
    files = _unpacked(folder / "loop.tlcert")
    base = LoopClaim(Oscillator(), json.loads(files["stability.json"]), True)
    for edit in (e for e in OSCILLATOR_EDITS if e.__name__ in kinds):
        for seed in range(each):
            claim = copy.deepcopy(base)
            edit(claim, random.Random(f"oscillator {edit.__name__} {seed}"))
            yield Mutant("oscillator", edit.__name__, claim.files(b""), claim.allowed())
    yield from exchanged("oscillator", files, {"stability.json": files["stability.json"] + b"\n"})
