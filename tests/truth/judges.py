"""What tlcheck says of a query, by each of its ways, and whether that is false."""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.helpers import IEEE
from tests.truth.evidence import SORTS, evidence
from tests.truth.queries import Planted, Point, numeral
from tests.truth.small_nets import Rng
from tlcheck.checking.sat import check_sat
from tlcheck.checking.schedule import planned
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.keys import query_key
from tlcheck.options import ARITHMETICS, SEMANTICS, Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.report.result import ClaimResult
from tlcheck.solver.assignment import decimal
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.decide import conclude_unsat, decide_conditions
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves, with_same
from tlcheck.trusted.plan import BadGuidance, NoRelaxation, Settings, root_bounds
from tlcheck.trusted.science.output_box import OutputBox
from tlcheck.verify import verify_path
from tlcheck.writers.bundle import ClaimOut, SatOut, UnsatOut, write_bundle

F = Fraction
SETTINGS = tuple((arith, semantics) for arith in ARITHMETICS for semantics in SEMANTICS)
SECONDS = 0.4
"""Of a search, by the clock of the run."""


@dataclass(frozen=True)
class Said:
    """``which``: of the queries that were put. ``word``: CERTIFIED, REFUTED, UNPROVEN, INVALID, CRASH; of commands sat, unsat and others. ``about``: which statement."""

    way: str
    arith: str
    semantics: str
    about: str
    word: str
    false: bool
    which: int = 0
    sort: str = ""
    why: str = ""


def false(planted: Planted, about: str, word: str, semantics: str) -> bool:
    """``about``: "unsat", "witness" (the planted one) or "point" (any other). CERTIFIED is false of a claim that is; REFUTED of a true one.

    A float32 execution is one of those that a deployed statement is about, and so is the exact function: what one of both denies
    is false. Where nothing denies it, a deployed statement may be either.
    """
    deployed = semantics == "deployed"
    if word == "CRASH":
        return True
    if about == "unsat":
        return word in ("CERTIFIED", "unsat") and (planted.answer == "sat" or (deployed and planted.executed))
    if word in ("CERTIFIED", "sat"):
        return planted.answer == "unsat" or (about == "witness" and deployed and planted.executed)
    return word == "REFUTED" and about == "witness" and planted.answer == "sat"


# verify


def claims(planted: Planted, rng: Rng) -> UnsatClaim:
    """As read from the files; where both versions of VNN-LIB can say it, they are the same query."""
    claim = planted.claim()
    if claim.graph.nodes[claim.graph.inputs[0]].shape == (1, planted.inputs) and rng.random() < 0.1:
        second = read_query(planted.second, claim.graph)
        if query_key(second) != query_key(claim.query):
            raise AssertionError(f"{planted.name}: the two versions of VNN-LIB differ")
    return claim


def verify(
    queries: Sequence[Planted], rng: Rng, settings: Sequence[tuple[str, str]] = SETTINGS
) -> Iterator[Said]:
    """Queries of one network and box, each a disjunct of one claim with the same tree: what is said of each by its own leaves.

    In each arithmetic and semantics with evidence of another sort; and a point's claim of the first.
    """
    try:
        claim = claims(queries[0], rng)
        joint = joined(queries, claim) if len(queries) > 1 else claim
    except InvalidInput as problem:
        yield from (
            Said("verify", "", "", "unsat", "INVALID", False, k, why=problem.code)
            for k in range(len(queries))
        )
        return
    start = int(rng.integers(len(SORTS)))
    for k, (arith, semantics) in enumerate(settings):
        sort = SORTS[(start + k) % len(SORTS)]
        guidance = repeated(evidence(sort, queries[0], claim, rng), len(queries))
        yield from proved(queries, joint, guidance, arith, semantics, sort)
    yield at_point(queries[0], claim, rng)
    yield from boxed(queries[int(rng.integers(len(queries)))], claim, rng)


def joined(queries: Sequence[Planted], claim: UnsatClaim) -> UnsatClaim:
    whole = replace(queries[0], regions=tuple(r for q in queries for r in q.regions))
    return UnsatClaim(claim.graph, read_query(whole.property, claim.graph))


def repeated(guidance: Guidance, count: int) -> Guidance:
    """The same trees for each query, and the same region's evidence."""
    roots = guidance.tree.roots
    if count == 1 or roots.ndim != 1:
        return guidance
    own = {d + k * len(roots): given for d, given in guidance.own.items() for k in range(count)}
    return replace(guidance, tree=replace(guidance.tree, roots=np.tile(roots, count)), own=own)


def proved(
    queries: Sequence[Planted], claim: UnsatClaim, guidance: Guidance, arith: str, semantics: str, sort: str
) -> Iterator[Said]:
    try:
        words, why = (
            ruled(
                claim,
                guidance,
                Settings(arith, deployed=IEEE if semantics == "deployed" else None),
                len(queries),
            ),
            "",
        )
    except (BadGuidance, NotDeployable, NoRelaxation, InvalidInput) as problem:
        words, why = ["INVALID"] * len(queries), type(problem).__name__
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        # only mutants have arrays of ranks and types that no reader hands on
        words, why = ["INVALID" if sort == "mutant" else "CRASH"] * len(queries), repr(error)
    for k, (planted, word) in enumerate(zip(queries, words, strict=True)):
        yield Said(
            "verify", arith, semantics, "unsat", word, false(planted, "unsat", word, semantics), k, sort, why
        )


def ruled(claim: UnsatClaim, guidance: Guidance, settings: Settings, count: int = 1) -> list[str]:
    """The path of ring 0, as ``checking.schedule`` goes it: of each of ``count`` equal parts of the query. A leaf's outcome is its own, so
    that each part is decided as it would be alone; the whole by ``conclude_unsat``. Raises BadGuidance, NotDeployable."""
    plan = planned(claim, guidance, settings)
    groups: dict[int, list[int]] = {}
    for rank, leaf in enumerate(plan.leaves):
        if rank not in plan.first_of:
            groups.setdefault(plan.region_of[leaf.disjunct], []).append(rank)
    outcomes: list[LeafOutcome] = []
    for region, ranks in groups.items():
        with contextlib.suppress(OutOfRange):
            bounds = None if plan.given[region].per_leaf_bounds else root_bounds(plan, region)
            outcomes += with_same(plan, check_leaves(plan, bounds, ranks))
    whole = conclude_unsat(plan, outcomes)[0].value
    certified = {o.rank for o in outcomes if o.certified}
    each = len(claim.query.disjuncts) // count
    open_ = {leaf.disjunct // each for rank, leaf in enumerate(plan.leaves) if rank not in certified}
    if (whole == "CERTIFIED") is bool(open_):
        raise AssertionError("conclude_unsat and the leaves")
    return ["UNPROVEN" if k in open_ else "CERTIFIED" for k in range(count)]


def decided(result: ClaimResult) -> tuple[str, str]:
    return result.verdict.value, result.reason.code


def at_point(planted: Planted, claim: UnsatClaim, rng: Rng) -> Said:
    """The known point, or one anywhere near the box."""
    near = planted.witness is None or rng.random() < 0.3
    about, point = ("point", somewhere(planted, rng)) if near else ("witness", planted.witness)
    assert point is not None
    sat = SatClaim(claim.graph, claim.query, point)
    semantics = SEMANTICS[int(rng.integers(2))]
    try:
        word, why = decided(check_sat(LoadedClaim("w", sat), sat, Options(semantics=semantics)))
    except InvalidInput as problem:
        word, why = "INVALID", problem.code
    return Said("verify", "", semantics, about, word, false(planted, about, word, semantics), why=why)


def boxed(planted: Planted, claim: UnsatClaim, rng: Rng) -> Iterator[Said]:
    """What is asked of one output, as the claim that it stays in a closed box: at the top itself this is true."""
    (region, *more) = planted.regions
    asked = [c for c in region.constraints if any(name[0] == "Y" for name in c.form)]
    if (
        more
        or [list(c.form) for c in asked] != [["Y_0"]]
        or planted.outputs > 1
        or None in (*region.lower, *region.upper)
    ):
        return
    (constraint,), far = asked, F(10) ** 600
    end = constraint.bound / constraint.form["Y_0"]
    lower, upper = (-far, end) if constraint.form["Y_0"] < 0 else (end, far)
    semantics = SEMANTICS[int(rng.integers(2))]
    box = OutputBox(claim.graph, region.lower, region.upper, (lower,), (upper,), "it", "exact")
    beyond = planted.answer == "sat" and (constraint.strict or planted.margin > 0)
    try:
        word = decide_conditions(box if semantics == "real" else box.for_executions(IEEE)).verdict.value
    except NotDeployable:
        word = "INVALID"
    executed = semantics == "deployed" and planted.executed and constraint.strict
    wrong = (word == "CERTIFIED" and (beyond or executed)) or (
        word == "REFUTED" and not beyond and not planted.executed
    )
    yield Said("box", "", semantics, "box", word, wrong)


def somewhere(planted: Planted, rng: Rng) -> Point:
    """A corner, a point of the box, or one beside it."""
    region = planted.regions[int(rng.integers(len(planted.regions)))]
    shares = rng.choice([F(0), F(1), F(1, 2), F(1, 3)], planted.inputs).tolist()
    if rng.random() < 0.2:
        shares[0] = F(1001, 1000)
    sides = zip(region.lower, region.upper, shares, strict=True)
    return tuple((a or F(0)) + s * ((b or F(1)) - (a or F(0))) for a, b, s in sides)


# files


def bundle(planted: Planted, rng: Rng, folder: Path) -> Iterator[Said]:
    """The same, in a bundle that is written and read: evidence of one sort, and both points."""
    try:
        claim = planted.claim()
    except InvalidInput:
        return
    arith, semantics = SETTINGS[int(rng.integers(len(SETTINGS)))]
    sort = str(rng.choice(SORTS))
    path = folder / "x.tlcert"
    outs: list[ClaimOut] = [SatOut("point", somewhere(planted, rng))]
    if planted.witness is not None:
        outs.append(SatOut("witness", planted.witness))
    try:
        outs.append(UnsatOut("unsat", evidence(sort, planted, claim, rng)))
        written(path, planted, outs)
    except (InvalidInput, IndexError, TypeError, ValueError):  # what no writer can write
        written(path, planted, outs[:-1])
    for about, word, why in verified(path, Options(arith=arith, semantics=semantics, jobs=1)):
        yield Said(
            "bundle",
            arith,
            semantics,
            about,
            word,
            false(planted, about, word, semantics),
            sort=sort,
            why=why,
        )


def written(path: Path, planted: Planted, outs: Sequence[ClaimOut]) -> None:
    write_bundle(
        path, model_bytes=planted.model, model_name="n.onnx", property_bytes=planted.property,
        property_name="p.vnnlib", graph=planted.graph, claims=list(outs),
    )  # fmt: skip


def verified(path: Path, options: Options) -> list[tuple[str, str, str]]:
    """(name, verdict, code) of every claim; none where the bundle is refused."""
    try:
        result = verify_path(path, options)
    except InvalidInput:
        return []
    names = [r.name for r in result.read]
    return [(n, *decided(c)) for n, c in zip(names, result.claims, strict=True)]


def files(planted: Planted, folder: Path, *, second: bool = False) -> tuple[Path, Path]:
    model, spec = folder / "n.onnx", folder / "p.vnnlib"
    model.write_bytes(planted.model)
    spec.write_bytes(planted.second if second else planted.property)
    return model, spec


def command(*arguments: object) -> tuple[int, str]:
    """Exit code and standard output."""
    out = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main([str(a) for a in arguments])
    out.seek(0)
    return code, out.read()


def certify(planted: Planted, rng: Rng, folder: Path) -> Iterator[Said]:
    """The answer, and the certificate checked in every arithmetic."""
    semantics = SEMANTICS[int(rng.integers(2))]
    model, spec = files(planted, folder)
    target = folder / "c.tlcert"
    target.unlink(missing_ok=True)
    code, out = command(
        "certify", model, spec, "-o", target, "--timeout", SECONDS, "--jobs", 1, "--semantics", semantics, "--format", "json",
    )  # fmt: skip
    word = "CRASH" if code == 70 else "INVALID" if code == 3 else json.loads(out)["answer"]
    yield answered("certify", planted, word, semantics)
    if target.exists():
        about = "witness" if word == "sat" else "unsat"
        for arith in ARITHMETICS:
            for _, verdict, why in verified(target, Options(arith=arith, semantics=semantics, jobs=1)):
                wrong = false(planted, about, verdict, semantics)
                yield Said("certify", arith, semantics, about, verdict, wrong, why=why)


def answered(way: str, planted: Planted, word: str, semantics: str, why: str = "") -> Said:
    about = "witness" if word == "sat" else "unsat"
    return Said(way, "", semantics, "answer", word, false(planted, about, word, semantics), why=why)


def vnnlib(planted: Planted, rng: Rng, folder: Path) -> Iterator[Said]:
    semantics = SEMANTICS[int(rng.integers(2))]
    flat = False
    with contextlib.suppress(InvalidInput):
        flat = planted.graph.nodes[planted.graph.inputs[0]].shape == (1, planted.inputs)
    model, spec = files(planted, folder, second=flat and bool(rng.integers(2)))
    code, out = command(
        "vnnlib", "verify", spec, "--network", f"N={model}", "--timeout", SECONDS, "--semantics", semantics
    )
    word = "CRASH" if code == 70 else out.partition("\n")[0] or "INVALID"
    yield answered("vnnlib", planted, word, semantics)


def equiv(planted: Planted, rng: Rng, folder: Path) -> Iterator[Said]:
    """``tlcheck equiv`` of two networks, and its certificate."""
    semantics = SEMANTICS[int(rng.integers(2))]
    model, spec = files(planted, folder)
    other, target = folder / "o.onnx", folder / "e.tlcert"
    other.write_bytes(planted.other)
    box = [f"(declare-const X_{i} Real)" for i in range(planted.inputs)] + ["(declare-const Y_0 Real)"]
    box.append(f"(assert {replace(planted.regions[0], constraints=()).text()})")
    spec.write_text("\n".join(box))
    target.unlink(missing_ok=True)
    code, out = command(
        "equiv", model, other, "--box", spec, "--within", numeral(planted.within), "-o", target, "--timeout", SECONDS,
        "--semantics", semantics, "--format", "json",
    )  # fmt: skip
    word = "CRASH" if code == 70 else "INVALID" if code in (2, 3) else json.loads(out)["answer"]
    word = {"equal": "unsat", "different": "sat"}.get(word, word)
    yield answered("equiv", planted, word, semantics, out[-200:])
    if target.exists():
        about = "witness" if word == "sat" else "unsat"
        for arith in ARITHMETICS:
            for _, verdict, why in verified(target, Options(arith=arith, semantics=semantics, jobs=1)):
                wrong = false(planted, about, verdict, semantics)
                yield Said("equiv", arith, semantics, about, verdict, wrong, why=why)


BENCH = "truth_2024"


def referee(batch: Sequence[Planted], rng: Rng, folder: Path) -> Iterator[Said]:
    """A competition of these queries: one tool says sat of all and gives the points, certificates have every sort of evidence."""
    for name in ("onnx", "vnnlib"):
        (folder / "benchmarks" / BENCH / name).mkdir(parents=True)
    proofs, tool = folder / "proofs", folder / "results" / "alpha" / f"2024_{BENCH}"
    proofs.mkdir()
    tool.mkdir(parents=True)
    rows, there = [], []
    for k, planted in enumerate(batch):
        try:
            claim = planted.claim()
        except InvalidInput:
            continue
        there.append(k)
        (folder / "benchmarks" / BENCH / "onnx" / f"n{k}.onnx").write_bytes(planted.model)
        (folder / "benchmarks" / BENCH / "vnnlib" / f"p{k}.vnnlib").write_bytes(planted.property)
        rows.append(
            f"{BENCH},benchmarks/{BENCH}/onnx/n{k}.onnx,benchmarks/{BENCH}/vnnlib/p{k}.vnnlib,1.5,sat,1.25"
        )
        point = planted.witness if planted.witness is not None else somewhere(planted, rng)
        (tool / f"n{k}_p{k}.counterexample").write_text(counterexample(planted, point))
        with contextlib.suppress(InvalidInput, IndexError, TypeError, ValueError):
            guidance = evidence(str(rng.choice(SORTS)), planted, claim, rng)
            written(proofs / f"{k}.tlcert", planted, [UnsatOut("unsat", guidance)])
    if not rows:  # none of them can be read
        return
    (tool / "results.csv").write_text("\n".join(rows) + "\n")
    code, out = command(
        "vnncomp", "referee", folder / "results", "--benchmarks", folder, "--certificates", proofs, "--jobs", 1, "--format", "json"
    )  # fmt: skip
    if code:
        yield Said("referee", "", "real", "answer", "CRASH", True, why=out[-200:])
        return
    for instance in json.loads(out)["instances"]:
        planted = batch[int(Path(instance["network"]).stem[1:])]
        yield answered("referee", planted, instance["verdict"], "real", planted.name)


def counterexample(planted: Planted, point: Point) -> str:
    """As the competition writes it; outputs mean nothing."""
    lines = [f"(X_{i} {decimal(x)})" for i, x in enumerate(point)]
    lines += [f"(Y_{j} {numeral(F(0))})" for j in range(planted.outputs)]
    return "sat\n(" + "\n".join(lines) + ")\n"


def drawn(*parts: object) -> Rng:
    """The same for the same parts."""
    return np.random.default_rng([zlib.crc32(str(p).encode()) for p in parts])
