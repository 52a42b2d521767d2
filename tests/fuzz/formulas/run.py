"""Many texts: a point satisfies what the reader made of one if and only if it satisfies the text."""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from tests.fuzz.corpus import FORMULAS, Corpus
from tests.fuzz.formulas.meaning import DECIMAL, Meaning, Nonsense, Tree, meaning, number, term
from tests.fuzz.formulas.write import text_of
from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib.normal_form import Variable, normal_form
from tlcheck.readers.vnnlib.read import read_any_property, read_property
from tlcheck.trusted.query import Query

POINTS = 12
CLIP = Fraction(1 << 64)
TINY = Fraction(1, 1 << 90)


@dataclass
class Outcome:
    """``status``: read, or the code of the refusal. ``difference``: None, or what differs. ``kinds``: what the text has that another has not."""

    status: str
    difference: str | None = None
    points: int = 0
    true: int = 0
    kinds: set[str] = field(default_factory=set)


@dataclass
class Read:
    query: Query
    monomials: tuple[tuple[Variable, ...], ...]

    def holds(self, x: list[Fraction], y: list[Fraction]) -> bool:
        every = list(y)
        for factors in self.monomials:
            product = Fraction(1)
            for kind, i in factors:
                product *= x[i] if kind == "X" else every[i]
            every.append(product)
        return any(_in(d, x, every) for d in self.query.disjuncts)


def _in(disjunct: object, x: list[Fraction], y: list[Fraction]) -> bool:
    box, constraints = disjunct.box, disjunct.constraints  # type: ignore[attr-defined]
    if not all(a <= v <= b for a, v, b in zip(box.lower, x, box.upper, strict=True)):
        return False
    for c in constraints:
        total = sum((a * x[i] for i, a in c.inputs), Fraction(0)) + sum(
            (b * y[j] for j, b in c.outputs), Fraction(0)
        )
        if not (total < c.bound if c.strict else total <= c.bound):
            return False
    return True


def read(text: str) -> Read:
    """As claims are read, where one graph answers; else with products of variables and several networks, clipped."""
    try:
        return Read(read_property(text.encode(), n_inputs=None, n_outputs=None, file="f"), ())
    except InvalidInput as error:
        if error.code == "TLC302":
            found = read_any_property(text.encode(), file="f")
            return Read(normal_form(found.assertions, found.space, CLIP), found.monomials)
        raise


def examine(text: str, seed: str = "") -> Outcome:
    try:
        found = read(text)
    except InvalidInput as error:
        line = error.line()
        status = error.code
        kinds = {f"{status} {_template(error)}"}
        bad = (
            None
            if error.code and "\n" not in line and line.isprintable()
            else f"a refusal of more than one line: {line!r}"
        )
        return Outcome(status, bad, kinds=kinds)
    except Exception as error:  # noqa: BLE001  (finding these is the point)
        return Outcome("broken", f"{type(error).__name__}: {error}")
    outcome = Outcome("read")
    try:
        said = meaning(text)
        outcome.kinds = set(_kinds(said, found.query))
        outcome.difference = _compared(said, found, text, outcome, random.Random(f"points {seed}"))
    except Nonsense as error:
        outcome.difference = f"read, and the text has no meaning: {error}"
    return outcome


def _compared(said: Meaning, found: Read, text: str, outcome: Outcome, rng: random.Random) -> str | None:
    sizes = found.query.n_inputs, found.query.n_outputs - len(found.monomials)
    if sizes != (len(said.inputs), len(said.outputs)):
        return f"{sizes} values, the text has {(len(said.inputs), len(said.outputs))}"
    names = [*said.inputs, *said.outputs]
    for point in _points(said, found.query, text, rng):
        values = dict(zip(names, point, strict=True))
        theirs, ours = said.holds(values), found.holds(point[: sizes[0]], point[sizes[0] :])
        outcome.points += 1
        outcome.true += theirs
        if theirs != ours:
            return f"{'in' if ours else 'out'} as read, {'in' if theirs else 'out'} by the text: {', '.join(f'{k}={v}' for k, v in values.items())}"
    return None


def _points(said: Meaning, query: Query, text: str, rng: random.Random) -> Iterator[list[Fraction]]:
    """Numbers of the text, ends of boxes and their neighbours; then points on which both sides of some comparison are equal."""
    numbers = [number(m) for m in re.findall(r"[^\s()]+", text) if DECIMAL.fullmatch(m)]
    numbers = [n for n in numbers if abs(n) < 2**40] + [Fraction(0), Fraction(1, 2), Fraction(-1)]
    atoms = said.atoms()
    names = [*said.inputs, *said.outputs]
    for k in range(POINTS):
        point = [rng.choice(numbers) for _ in names]
        if query.disjuncts and k % 4:
            box = rng.choice(query.disjuncts).box
            for i in range(query.n_inputs):
                low, high = box.lower[i], box.upper[i]
                point[i] = rng.choice([low, high, (low + high) / 2, low if k % 2 else point[i]])
        if atoms and k % 3:
            _on_a_boundary(point, names, rng.choice(atoms), said.version, rng)
        for i in range(len(point)):
            if rng.random() < 0.06:
                point[i] += rng.choice([TINY, -TINY])
        if max(map(abs, point)) < CLIP:
            yield point


def _on_a_boundary(
    point: list[Fraction], names: list[str], atom: tuple[Tree, Tree], version: int, rng: random.Random
) -> None:
    """Moves one value so that both sides are equal, where they are linear in it."""
    i = rng.randrange(len(names))

    def gap(v: Fraction) -> Fraction:
        values = dict(zip(names, point, strict=True)) | {names[i]: v}
        return term(atom[0], values, version) - term(atom[1], values, version)

    try:
        at_zero, at_one = gap(Fraction(0)), gap(Fraction(1))
    except Nonsense:
        return
    if at_one != at_zero:
        point[i] = at_zero / (at_zero - at_one) + rng.choice([0, 0, 0, TINY, -TINY])


def _template(error: InvalidInput) -> str:
    """The message without what differs from text to text."""
    return re.sub(
        r"'[^']*'|[0-9]+|(column|variable:|expression:).*",
        "..",
        error.message if hasattr(error, "message") else str(error),
    )[:60]


def _kinds(said: Meaning, query: Query) -> Iterator[str]:
    """What the text uses: every head beneath every other, numbers of operands, how many disjuncts, empty boxes."""

    def heads(tree: Tree, above: str) -> Iterator[str]:
        if isinstance(tree, list) and tree and isinstance(tree[0], str):
            yield f"{said.version} {above} ({tree[0]}"
            yield f"{said.version} {tree[0]} of {min(len(tree) - 1, 3)}"
            for part in tree[1:]:
                yield from heads(part, tree[0])

    for assertion in said.assertions:
        yield from heads(assertion, "assert")
    yield f"{said.version} disjuncts {min(len(query.disjuncts), 3)}"
    for d in query.disjuncts[:50]:
        if any(a > b for a, b in zip(d.box.lower, d.box.upper, strict=True)):
            yield f"{said.version} an empty box"
        if any(c.strict for c in d.constraints):
            yield f"{said.version} strict"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz formulas", description="VNN-LIB texts against an evaluator of their own."
    )
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed")
    parser.add_argument("--only", type=int, default=None, help="only this text")
    parser.add_argument("--grow", action="store_true", help="keep texts of a new kind in the corpus")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else time.time_ns() % 2**32
    if given.only is not None:
        print(text_of(seed, given.only))
        print(examine(text_of(seed, given.only), f"{seed}/{given.only}"))
        return 0
    print(f"seed {seed}, {given.texts} texts", flush=True)
    corpus = Corpus(FORMULAS, lambda data: examine(data.decode()).kinds)
    counts: Counter[str] = Counter()
    different = 0
    for data in corpus.inputs():
        different += _counted(examine(data.decode()), counts, f"kept {data!r}")
    for k in range(given.texts):
        text = text_of(seed, k)
        outcome = examine(text, f"{seed}/{k}")
        different += _counted(outcome, counts, f"python -m tests.fuzz formulas --seed {seed} --only {k}")
        if given.grow:
            corpus.keep(text.encode(), outcome.kinds)
    for name in sorted(counts):
        print(f"{counts[name]:10}  {name}")
    print(
        f"{counts['texts']} texts, {counts['points']} points, {different} with a difference; {corpus.said()}"
    )
    return 1 if different else 0


def _counted(outcome: Outcome, counts: Counter[str], again: str) -> int:
    counts.update(
        {"texts": 1, outcome.status: 1, "points": outcome.points, "points in the text's set": outcome.true}
    )
    if outcome.difference:
        print(f"DIFFERENCE  {outcome.difference}\n      {again}", flush=True)
    return bool(outcome.difference)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
