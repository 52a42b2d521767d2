"""Referee reports of any size from a seed, counted as the referee counts, and one whose every name is hostile."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from typing import Any

from msgspec.structs import replace

from tlcheck.referee.findings import (
    RESULTS,
    VERDICTS,
    AnswerOut,
    BenchmarkOut,
    CensusOut,
    CertificateOut,
    Contradiction,
    Evidence,
    InstanceOut,
    RefereeOut,
    ToolOut,
)
from tlcheck.referee.witness import RULINGS
from tlcheck.versions import tool_versions

TOOLS = (
    "alpha_beta_crown",
    "cora",
    "marabou",
    "neuralsat",
    "never2",
    "nnenum",
    "nnv",
    "pyrat",
    "rover",
    "sobolbox",
)
BENCHMARKS = ("acasxu_2023", "cifar100_2024", "collins_rul_cnn_2022", "dist_shift_2023", "linearizenn_2024",
              "metaroom_2023", "ml4acopf_2024", "nn4sys", "safenlp_2024", "tinyimagenet_2024", "tllverifybench_2023", "vit_2023")  # fmt: skip
OPPOSITE = {"sat": "unsat", "unsat": "sat"}
HOSTILE = {
    "script": "</script><script>document.title='owned'</script>",
    "image": "<img src=x onerror=document.title='owned'>",
    "direction": "net\u202eexe.onnx",
    "entity": "&lt;b&gt; \"quoted' ${data} $results <!-- ",
    "long": "n" * 5000,
    "formula": "=HYPERLINK(\"x\")",
    "control": "a\x1b[31mred\nline\x00\u2028end",
    "surrogate": "half \ud800",
}  # fmt: skip


NUMBERS = (999.5, 123456.789, 0.00012345, 0.000099999, 1e-320, -2.5e300, 0.1, -12.345, 123.4, 1e22)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def made(instances: int, *, tools: int = 10, seed: int = 0) -> RefereeOut:
    """A report like those of a competition: few disagreements, mostly repaired or good witnesses."""
    rng = random.Random(seed)
    found = [made_instance(rng, n, TOOLS[:tools]) for n in range(instances)]
    return counted(found)


def made_instance(rng: random.Random, n: int, tools: tuple[str, ...]) -> InstanceOut:
    benchmark = rng.choice(BENCHMARKS)
    truth = rng.choices(("sat", "unsat"), (0.35, 0.65))[0]
    network = f"onnx/{benchmark}_model_{rng.randrange(30)}_batch_2000.onnx"
    query = f"vnnlib/prop_{n}_{rng.uniform(0, 0.1):.4f}.vnnlib"
    answers = []
    for k, tool in enumerate(tools):
        result = rng.choices((truth, "unknown", "timeout", "error"), (60, 8, 25, 4 + k))[0]
        if result in OPPOSITE and rng.random() < 0.004 * k:
            result = OPPOSITE[result]
        witness = None
        if result == "sat" and rng.random() < 0.93:
            witness = made_evidence(rng, f"{tool}/{benchmark}/{n}.counterexample.gz", good=truth == "sat")
        seconds = round(rng.lognormvariate(1, 1.5), 3) if result != "error" else None
        answers.append(AnswerOut(tool=tool, result=result, written=result, seconds=seconds, contradicted=False, witness=witness))  # type: ignore[arg-type]  # fmt: skip
    proved = [a.witness.file for a in answers if a.witness is not None and a.witness.settled]
    certificates = []
    if not proved and truth == "unsat" and rng.random() < 0.15:
        certificates.append(CertificateOut(file=f"proofs/{n}.tlcert", format="tlcert", kind="unsat", verdict="CERTIFIED", code="TLC001",
                                           reason="every leaf is proved", margin=f"{rng.lognormvariate(-5, 3):.40f}"))  # fmt: skip
    fact = "sat" if proved else "unsat" if certificates else None
    answers = [replace(a, contradicted=fact is not None and a.result == OPPOSITE[fact]) for a in answers]
    said = {a.result for a in answers}
    if fact:
        verdict, code, reason = fact, "TLC002", f"proved by {(proved or [certificates[0].file])[0]}"
    elif {"sat", "unsat"} <= said:
        verdict, code, reason = (
            "contested",
            "TLC018",
            "some of the tools say sat, some unsat; no certified proof",
        )
    elif rng.random() < 0.01:
        verdict, code, reason = "unsupported", "TLC202", "unsupported operator Loop at node n_7"
    else:
        verdict, code, reason = "open", "TLC019", "no witness and no certified proof"
    return InstanceOut(
        benchmark=benchmark, version=rng.choice(("", "", "1.0", "2.0")), network=network, property=query, network_sha256=sha(network),
        property_sha256=sha(query), verdict=verdict, code=code, reason=reason,  # type: ignore[arg-type]
        settled_by=proved or [c.file for c in certificates], answers=answers, certificates=certificates,
    )  # fmt: skip


def made_evidence(rng: random.Random, file: str, *, good: bool) -> Evidence:
    weights = (45, 40, 4, 3, 3, 2, 2, 1) if good else (0, 0, 20, 60, 10, 5, 4, 1)
    ruling = rng.choices(RULINGS, weights)[0]
    common: dict[str, Any] = {"file": file, "sha256": sha(file), "ruling": ruling}
    nothing = {"holds": None, "margin": None}
    if ruling in ("empty", "malformed", "wrong-shape", "unsupported"):
        reason = {"empty": "the file holds no point"}.get(ruling, f"{file}: line 2: not a witness")
        return Evidence(**common, settled=None, code="TLC101", reason=reason, format="", real=nothing, deployed=nothing, tolerance=nothing,
                        official={**nothing, "holds": False, "result": "NO_CE"}, repaired=nothing, produced={})  # fmt: skip
    inside = ruling == "holds"
    margin = rng.lognormvariate(-6, 3) * (-1 if ruling == "fails" else 1)
    away = 0.0 if inside else rng.lognormvariate(-17, 1)
    near = margin * (1 + rng.uniform(-1e-6, 1e-6))
    return Evidence(
        **common,
        settled="sat" if ruling in ("holds", "holds-repaired") else None,
        code="TLC002" if inside else "TLC011",
        reason="the point is inside the region and every constraint holds, evaluated exactly" if inside else f"outside its region by {away!r}",
        format="vnncomp-1.0",
        real={"holds": inside, "margin": margin, "margin_upper": margin, "in_region": inside, "verdict": "CERTIFIED" if inside else "outside"},
        deployed={"holds": inside, "margin": near, "in_region": inside, "input_violation": away, "real_margin": near, "real_margin_upper": near,
                  "flipped": rng.random() < 0.016},
        tolerance={"holds": margin > 0, "margin": margin, "within_tolerance": True, "input_violation": away, "input_violation_decimal": repr(away)},
        official={"holds": margin > 0, "margin": near, "result": "CORRECT" if margin > 0 else "SPEC_NOT_VIOLATED"},
        repaired=nothing if inside else {"holds": ruling == "holds-repaired", "margin": margin, "margin_upper": margin, "moved": away,
                                         "verdict": "CERTIFIED" if ruling == "holds-repaired" else "REFUTED"},
        produced={"count": 5, "expected": 5, "relative_difference_deployed": 1e-7, "relative_difference_real": None},
    )  # fmt: skip


def counted(instances: list[InstanceOut], **changes: Any) -> RefereeOut:
    """The report on these instances, sorted and counted."""
    found = sorted(instances, key=lambda i: (i.verdict != "contested", i.benchmark, i.network, i.property))
    evidence = [a.witness for i in found for a in i.answers if a.witness is not None]
    correct = [w for w in evidence if w.official.get("result") == "CORRECT"]
    known = [w for w in evidence if w.deployed.get("flipped") is not None]
    outside = [w for w in evidence if w.real.get("in_region") is False]
    census = CensusOut(
        witnesses=len(evidence),
        rulings=dict(Counter(w.ruling for w in evidence)),
        officially_correct={
            "count": len(correct),
            "outside_as_written": sum(w.real["in_region"] is False for w in correct),
            "outside_as_float32": sum(w.deployed["in_region"] is False for w in correct),
            "outside_both": sum(
                w.real["in_region"] is False and w.deployed["in_region"] is False for w in correct
            ),
            "settled_sat": sum(w.settled == "sat" for w in correct),
        },
        rounding={"compared": len(known), "flipped": sum(w.deployed["flipped"] for w in known)},
        clipping={"outside": len(outside), "repaired": sum(w.ruling == "holds-repaired" for w in outside)},
    )
    contradictions = [
        Contradiction(tool=a.tool, instance=n, benchmark=i.benchmark, network=i.network, property=i.property, answer=a.result,  # type: ignore[arg-type]
                      fact=i.verdict, evidence=i.settled_by[0])  # type: ignore[arg-type]
        for n, i in enumerate(found) for a in i.answers if a.contradicted
    ]  # fmt: skip
    report = RefereeOut(
        schema_version=1, tool=tool_versions(), results="vnncomp2025_results", complete=True,
        verdicts={v: sum(i.verdict == v for i in found) for v in VERDICTS}, census=census, tools=tools_of(found),
        benchmarks=benchmarks_of(found), contradictions=contradictions, instances=found, reused=3,
        notes=["nnv/results.csv: 2 lines with an unknown word"], seconds=512.25,
    )  # fmt: skip
    return replace(report, **changes)


def tools_of(found: list[InstanceOut]) -> list[ToolOut]:
    result = []
    for tool in dict.fromkeys(a.tool for i in found for a in i.answers):
        said = [(i, a) for i in found for a in i.answers if a.tool == tool]
        answers = {r: sum(a.result == r for _, a in said) for r in RESULTS}
        rulings = dict(Counter(a.witness.ruling for _, a in said if a.witness is not None))
        result.append(
            ToolOut(
                tool=tool, instances=len(said), answers=answers, rulings=rulings,
                without_witness=sum(a.result == "sat" and a.witness is None for _, a in said),
                confirmed=sum(a.result == i.verdict for i, a in said), contradicted=sum(a.contradicted for _, a in said),
            )
        )  # fmt: skip
    return result


def benchmarks_of(found: list[InstanceOut]) -> list[BenchmarkOut]:
    result = []
    for name in sorted({i.benchmark for i in found}):
        mine = [i for i in found if i.benchmark == name]
        verdicts = {v: sum(i.verdict == v for i in mine) for v in VERDICTS}
        contradicted = sum(a.contradicted for i in mine for a in i.answers)
        result.append(
            BenchmarkOut(benchmark=name, instances=len(mine), verdicts=verdicts, contradicted=contradicted)
        )
    return result


def hostile() -> RefereeOut:
    """One instance for each hostile string, which stands for every name, reason and file in it."""
    rng = random.Random(1)
    found = []
    for n, text in enumerate(HOSTILE.values()):
        base = made_instance(rng, n, TOOLS[:1])
        bad = replace(
            made_evidence(rng, text, good=True), ruling="holds", settled="sat", reason=text, code="TLC002", format=text,
            real={"holds": True, "margin": 1e-320, "verdict": text, text: text}, deployed={"cuda": {"holds": None, text: [text, 1]}, "holds": None},
            official={"holds": True, "margin": 12345.0, "result": text}, produced={f"n{k}": x for k, x in enumerate(NUMBERS)},
        )  # fmt: skip
        said = [
            AnswerOut(tool=text, result="sat", written=text, seconds=0.1, contradicted=False, witness=bad),
            AnswerOut(
                tool=f"{text} 2", result="unsat", written=text, seconds=1e-9, contradicted=True, witness=None
            ),
        ]
        proof = CertificateOut(
            file=text, format=text, kind=text, verdict="INVALID", code="TLC101", reason=text, margin=text
        )
        found.append(
            replace(base, benchmark=text, version=text, network=text, property=text, network_sha256="", verdict="sat", reason=text,
                    settled_by=[text], answers=said, certificates=[proof])
        )  # fmt: skip
    versions = {text: text for text in HOSTILE.values()}
    return counted(
        found, results=HOSTILE["script"], notes=list(HOSTILE.values()), tool=versions, complete=False
    )
