"""Certificates and claims mutated in every field: nothing false is ever certified.

A mutant of the evidence runs against the original claim (true: certifying is right) and against a claim that a known
point makes false (certifying is a violation). A mutant of the model or the property runs with the original evidence: if
an attack finds a point that refutes it, exactly confirmed, certifying is a violation.

``TLCHECK_SOAK=1`` runs the full count (more than 5,000); by default a tenth.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack import mutations, seeds
from tests.helpers import CERTIFICATES, DATA
from tlcheck.readers.formats.abcrown import load_dump
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance

SOAK = bool(os.environ.get("TLCHECK_SOAK"))
DUMPS = DATA / "abcrown"

# (instance, evidence mutants, claim mutants) of the default run.
INSTANCES: list[tuple[str, int, int]] = [
    ("safenlp/medical_1738", 30, 20),
    ("safenlp/medical_320", 30, 20),
    ("safenlp/ruarobot_4627", 30, 20),
    ("safenlp/ruarobot_862", 30, 20),
    ("acasxu/net_2_7_prop_3", 20, 10),
    ("acasxu/net_2_9_prop_4", 20, 10),
    ("acasxu/net_3_8_prop_4", 12, 5),
    ("acasxu/net_3_6_prop_3", 6, 3),
    ("acasxu/net_1_9_prop_1", 4, 2),
    ("tllverifybench/N8_1", 4, 2),
    ("mnist_fc/256x2_prop_0_0.03", 20, 6),
    ("mnist_fc/256x2_prop_11_0.05", 8, 2),
    ("mnist_fc/256x2_prop_6_0.03", 6, 2),
    ("collins_rul_cnn/small_w20_16pert_d5", 3, 2),
    ("eran_sigmoid/6x200_idx_56", 2, 1),
]
SAMPLED: list[tuple[str, int, int]] = [
    ("mnist_fc/256x2_prop_14_0.05", 80, 20),
    ("mnist_fc/256x2_prop_3_0.05", 80, 20),
    ("mnist_fc/256x2_prop_9_0.05", 60, 20),
    ("mnist_fc/256x4_prop_14_0.03", 20, 6),
    ("dist_shift/concat_index4462", 20, 6),
    ("eran_sigmoid/6x200_idx_7167", 6, 2),
    ("oval21/base_img3161", 6, 2),
    ("cora/mnist_set_img6", 4, 2),
    ("acasxu/net_1_1_prop_1", 10, 4),
]
"""In the full run only."""


def loaded_claims() -> Iterator[tuple[str, UnsatClaim, Guidance, int, int]]:
    """(name, claim, evidence, evidence mutants, claim mutants) of every certificate to attack."""
    scale = 10 if SOAK else 1
    for name, kind in (("activation", 40), ("input-box", 40), ("lines", 30)):
        claim, guidance = seeds.tiny_claim(name)
        yield f"tiny {name}", claim, guidance, kind * scale, 20 * scale
    for name, evidence, claims in INSTANCES:
        if (DUMPS / name).is_dir():
            [item] = load_dump(DUMPS / name, None, None)
            if isinstance(item.claim, UnsatClaim) and item.guidance is not None:
                yield name, item.claim, item.guidance, evidence * scale, claims * scale
    for name, evidence, claims in SAMPLED if SOAK else ():
        if (DUMPS / name).is_dir():
            [item] = load_dump(DUMPS / name, None, None)
            if isinstance(item.claim, UnsatClaim) and item.guidance is not None:
                yield name, item.claim, item.guidance, evidence, claims
    yield from corpus_claims(30 * scale if SOAK else 4, 10 * scale if SOAK else 2)


def corpus_claims(evidence: int, claims: int) -> Iterator[tuple[str, UnsatClaim, Guidance, int, int]]:
    from tlcheck.options import Options
    from tlcheck.readers.formats.detect import is_certificate, read_certificate

    folder = CERTIFICATES / "accept"
    for case in sorted(folder.iterdir()) if folder.is_dir() else ():
        for path in certificates_in(case) if case.is_dir() and not is_certificate(case) else [case]:
            if not is_certificate(path):
                continue
            for item in read_certificate(path, Options())[1]:
                if isinstance(item.claim, UnsatClaim) and item.guidance is not None:
                    yield f"{case.name}: {item.name}", item.claim, item.guidance, evidence, claims


def certificates_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def attack_evidence(
    claim: UnsatClaim, guidance: Guidance, count: int, rng: Any, tally: Counter[str]
) -> list[str]:
    """Violations among ``count`` mutants of the evidence against a false claim, and half of them against the true one."""
    lie, _ = mutations.falsified(claim, rng)
    arith = str(rng.choice(["auto", "auto", "ball64"]))
    against_lie, against_truth = mutations.Decider(lie, arith), mutations.Decider(claim, arith)
    violations = []
    tally["evidence, false claim"] += 1
    if against_lie.decide(guidance) == "certified":
        violations.append("the original evidence certifies the falsified claim")
    for k, mutant in enumerate(mutations.guidance_mutants(guidance, claim.graph, rng, count)):
        false = against_lie.decide(mutant.guidance)
        tally["mutants"] += 1
        tally["evidence, false claim"] += 1
        tally[f"false claim {false}"] += 1
        if false == "certified":
            violations.append(f"{mutant.what} certifies a false claim")
        if k % 4 == 0:
            tally[f"true claim {against_truth.decide(mutant.guidance)}"] += 1
    return violations


def attack_claims(
    claim: UnsatClaim, guidance: Guidance, count: int, rng: Any, tally: Counter[str]
) -> list[str]:
    violations = []
    for what, changed in mutations.claim_mutants(claim, rng, count):
        before = {id(d) for d in claim.query.disjuncts}
        among = [d for d in changed.query.disjuncts if id(d) not in before] or None
        point = mutations.counterexample(changed, rng, among=among)
        verdict = mutations.decide(changed, guidance)
        tally["mutants"] += 1
        tally["refuted claims" if point is not None else f"claims not refuted, {verdict}"] += 1
        if verdict == "certified" and point is None:  # look again, harder
            point = mutations.counterexample(changed, rng, 25, among)
        if verdict == "certified" and point is not None:
            violations.append(f"{what}: certified, and refuted at {point[:4]}")
    return violations


def test_no_mutant_certifies_a_false_claim(capsys: pytest.CaptureFixture[str]) -> None:
    tally: Counter[str] = Counter()
    violations = []
    for k, (name, claim, guidance, evidence, claims) in enumerate(loaded_claims()):
        rng = np.random.default_rng(1000 + k)
        if SOAK and mutations.decide(claim, guidance) != "certified":
            tally["originals not certified"] += 1
        if not mutations.nonempty(claim):
            tally["claims about nothing"] += 1
            continue
        for found in (
            attack_evidence(claim, guidance, evidence, rng, tally),
            attack_claims(claim, guidance, claims, rng, tally),
        ):
            violations += [f"{name}: {v}" for v in found]
    with capsys.disabled():
        print(
            "\n"
            + "; ".join(f"{what}: {n}" for what, n in sorted(tally.items()))
            + f"; violations: {len(violations)}"
        )
    assert violations == []
    # The test can fail: mutants that keep the proof certify the true claim, and some claims are refuted.
    assert tally["true claim certified"] > 0
    assert tally["refuted claims"] > 0
    assert tally["false claim unproven"] > tally["false claim refused"] / 4
    if SOAK:
        assert tally["mutants"] >= 5000
        assert tally["originals not certified"] == 0


def test_the_search_finds_known_counterexamples() -> None:
    """The oracle sees a lie when it is shown one, so a silent run means something."""
    rng = np.random.default_rng(7)
    for name in ("activation", "input-box", "lines"):
        claim, guidance = seeds.tiny_claim(name)
        assert mutations.decide(claim, guidance) == "certified"
        assert mutations.counterexample(claim, rng) is None
        lie, point = mutations.falsified(claim, rng)
        assert any(mutations.refutes(lie, d, point) for d in lie.query.disjuncts)
        found = 0
        for what, changed in mutations.claim_mutants(claim, rng, 60):
            found += what == "_turned" and mutations.counterexample(changed, rng) is not None
        assert found > 0
