"""Queries whose answer is known by construction, put to every way of tlcheck: ``python -m tests.truth [KIND ...] [--each N] [--from N]``.

Of each kind N queries, half of them true: each decided by ``verify``'s ring 0 in arithmetics and semantics in turn, with evidence
that is good, random or made to deceive, a point as a witness, and, of one output, the claim that it stays in a box; some of them (--files)
also as a bundle, by ``certify``, ``vnnlib verify`` and ``vnncomp referee``, or ``equiv``, each with --seconds of the CPU. First come the numbers in ``kept.txt``, in all arithmetics and semantics: whatever
a run finds false is added there. Prints counts, and everything false; exits 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

from tests.bench import cpu_clock
from tests.truth import judges
from tests.truth.judges import SETTINGS, Said, drawn
from tests.truth.kinds import KINDS, queries, query
from tests.truth.queries import Planted
from tlcheck import timer

KEPT = Path(__file__).with_name("kept.txt")
BLOCK = 120
TOGETHER = 24
SHOWN = 50
"""False statements that are printed."""
CLEAR = Fraction(1, 256)
"""A margin that should mostly be proved."""
Key = tuple[str, ...]


@dataclass
class Counts:
    """By (kind, true or false, way, arithmetic, semantics, about, word); what was false; and of true ones with a clear margin."""

    said: Counter[Key] = field(default_factory=Counter)
    power: Counter[Key] = field(default_factory=Counter)
    false: list[str] = field(default_factory=list)

    def add(self, kind: str, planted: Planted, said: Said) -> None:
        truth = {"unsat": "true", "sat": "false"}[planted.answer]
        self.said[kind, truth, said.way, said.arith, said.semantics, said.about, said.word] += 1
        if said.false:
            self.false.append(f"{planted.name}: {said}")
            if len(self.false) <= SHOWN:
                print("FALSE", self.false[-1], flush=True)
        if clear_and_true(planted) and said.semantics == "real":
            if said.about == "unsat" and said.sort == "good":
                self.power[kind, said.way, str(said.word == "CERTIFIED")] += 1
            if said.about == "answer":
                self.power[kind, said.way, str(said.word == "unsat")] += 1

    def write(self, path: Path) -> None:
        rows = [[*key, n] for key, n in sorted(self.said.items())]
        power = [[*key, n] for key, n in sorted(self.power.items())]
        path.write_text(json.dumps({"said": rows, "power": power, "false": self.false}))


def kept() -> list[tuple[str, int]]:
    """(kind, number) of every line: "KIND NUMBER WHY"."""
    lines = [line.split() for line in KEPT.read_text().splitlines() if line and not line.startswith("#")]
    return [(kind, int(number)) for kind, number, *_ in lines]


def run(kinds: Sequence[str], numbers: range, files: int, counts: Counts, path: Path | None) -> None:
    """Kinds in turn, block by block, so that a run that is cut short has about as many of each. A number is one query, where a network may
    be asked for many things TOGETHER of them, in every arithmetic and semantics in turn."""
    step = max(1, len(numbers) // files) if files else 0
    with tempfile.TemporaryDirectory() as made:
        for kind, number in kept():
            tried(kind, number, counts, SETTINGS, folder=Path(made))
        for start in range(numbers.start, numbers.stop, BLOCK):
            for kind in kinds:
                block = range(start, min(start + BLOCK, numbers.stop))
                together = len(queries(kind, start, TOGETHER))
                for number in block[::together]:
                    setting = SETTINGS[number // together % len(SETTINGS)]
                    tried(kind, number, counts, [setting], min(together, block.stop - number))
                some = [n for n in block if step and n % step == 0]
                for number in some:
                    tried(kind, number, counts, (), folder=Path(made))
                if some:
                    competition(kind, some, counts, Path(made))
            if path is not None:
                counts.write(path)


def tried(
    kind: str,
    number: int,
    counts: Counts,
    settings: Sequence[tuple[str, str]],
    together: int = 1,
    folder: Path | None = None,
) -> None:
    """By ring 0 in these settings; with a folder, in files too."""
    asked = queries(kind, number, together)
    planted = asked[0]
    for said in guarded(planted, judges.verify(asked, drawn(kind, number), settings) if settings else ()):
        counts.add(kind, asked[said.which], said)
    ways = (judges.equiv,) if planted.other else (judges.bundle, judges.certify, judges.vnnlib)
    for way in ways if folder is not None else ():
        assert folder is not None
        for said in guarded(planted, way(planted, drawn(way.__name__, kind, number), folder)):
            counts.add(kind, planted, said)


def competition(kind: str, numbers: Sequence[int], counts: Counts, made: Path) -> None:
    batch = [q for q in (query(kind, n) for n in numbers) if not q.other]
    if not batch:
        return
    with tempfile.TemporaryDirectory(dir=made) as folder:
        for said in guarded(batch[0], judges.referee(batch, drawn("referee", kind, numbers), Path(folder))):
            which = [p for p in batch if p.name == said.why]
            counts.add(kind, which[0] if which else batch[0], said)


def power(kind: str, count: int, start: int, counts: Counts) -> None:
    """So many true queries with a clear margin, put to the commands that search."""
    clear = (p for n in range(start, start + 100 * count) for p in [query(kind, n)] if clear_and_true(p))
    with tempfile.TemporaryDirectory() as made:
        for planted in islice(clear, count):
            way = judges.equiv if planted.other else judges.certify
            for said in guarded(planted, way(planted, drawn("power", planted.name), Path(made))):
                counts.add(kind, planted, said)


def clear_and_true(planted: Planted) -> bool:
    return planted.answer == "unsat" and planted.margin >= CLEAR and not planted.executed


def guarded(planted: Planted, said: Iterator[Said] | Sequence[Said]) -> Iterator[Said]:
    """An exception is a fault as well, and does not hide the others."""
    try:
        yield from said
    except Exception:  # noqa: BLE001
        yield Said("", "", "", "", "CRASH", True, why=traceback.format_exc()[-600:])


def report(counts: Counts) -> Iterator[str]:
    yield f"{'kind':11} {'true':>7} {'false':>7}   way       {'claims':>8} CERTIFIED REFUTED UNPROVEN INVALID"
    for kind in KINDS:
        rows = Counter[Key]()
        for (k, truth, way, *_, about, word), n in counts.said.items():
            if k == kind:
                rows[truth, way, about, word] += n
        ways = dict.fromkeys(way for _, way, _, _ in rows)
        total = {
            t: sum(n for (u, w, a, _), n in rows.items() if (u, w, a) == (t, "verify", "unsat"))
            for t in ("true", "false")
        }
        for way in ways:
            words = Counter[str]()
            for (_, w, _, word), n in rows.items():
                words[word] += n if w == way else 0
            shown = "  ".join(f"{word} {n}" for word, n in sorted(words.items()) if n)
            yield f"{kind:11} {total['true']:7} {total['false']:7}   {way:9} {sum(words.values()):8} {shown}"
    for kind in KINDS:
        shares = []
        for way in ("verify", "bundle", "certify", "equiv", "vnnlib"):
            yes, no = counts.power[kind, way, "True"], counts.power[kind, way, "False"]
            shares += [f"{way} {yes} of {yes + no}"] if yes + no else []
        if shares:
            yield f"{kind}: proved, true and clear: {', '.join(shares)}"
    yield f"false: {len(counts.false)}"
    yield from counts.false[:SHOWN]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them otherwise"
    )
    parser.add_argument("--each", type=int, default=10_000)
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--files", type=int, default=40, help="of each kind, as files")
    parser.add_argument("--counts", type=Path, help="where counts are written after each block")
    parser.add_argument(
        "--power", type=int, default=0, help="true ones with a clear margin, for the searches"
    )
    parser.add_argument("--seconds", type=float, default=judges.SECONDS, help="CPU seconds of a search")
    arguments = parser.parse_args()
    judges.SECONDS = arguments.seconds
    cpu_clock.install()
    counts, begun = Counts(), timer.now()
    numbers = range(arguments.start, arguments.start + arguments.each)
    kinds = arguments.kinds or list(KINDS)
    for kind in kinds if arguments.power else ():
        power(kind, arguments.power, arguments.start, counts)
    run(kinds, numbers, arguments.files, counts, arguments.counts)
    print("\n".join(report(counts)))
    print(f"{timer.now() - begun:.0f} CPU s")
    return 1 if counts.false else 0


if __name__ == "__main__":
    sys.exit(main())
