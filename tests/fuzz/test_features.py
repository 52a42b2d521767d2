"""The plan has everything that the schemas have, and a case that was aimed at a feature mostly has it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.fuzz.operators import compare, features, recipes, run
from tests.fuzz.operators.kept import reason, schema_of
from tests.fuzz.operators.model import Case, Operand, schemas, versions


def test_the_plan_has_every_version_attribute_operand_output_and_type() -> None:
    plan = set(features.plan())
    assert len(plan) > 10_000
    for name in schemas():
        for v, (schema, _, _) in enumerate(versions(name)):
            if not schema.deprecated:
                wanted = {f"{a} given" for a in schema.attributes} | {
                    f"operand {e.name} given" for e in schema.inputs
                }
                wanted |= {f"output {e.name} wanted" for e in schema.outputs}
                assert {(name, v, f) for f in wanted} <= plan


def test_aimed_cases_have_their_feature() -> None:
    """Of operators that are read: nine in ten; an attribute that is a graph, or a type without numbers, can't be aimed at."""
    hits: Counter[bool] = Counter()
    rows = features.plan()
    for k in range(0, len(rows), 29):
        operator, version, feature = rows[k]
        case = recipes.aimed(1, k)
        hits[feature in features.of(case, versions(operator)[version][0])] += 1
    assert hits[True] > 3 * hits[False]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("TLC202 one operator: unsupported operator Add at node 'the node': axis 3 of [1, 2]", "TLC202 axis .. of .."),
        ("TLC202 one operator: unsupported operator Add at node 'the node'", "TLC202 not read"),
        ("TLC202 one operator: unsupported operator Cast at node 'Cast/x0': float32 to uint16", ""),
        ("TLC204 one operator: node 'the node': Add: shapes do not broadcast: [(0,), (2,)] (expected 1, got 2)", "TLC204 shapes do not broadcast: .."),
        ("TLC202 one operator: unsupported operator Add at node 'the node': not in opset 6 (it came with opset 7)", "TLC202 not in that version of the standard"),
    ],
)  # fmt: skip
def test_reasons_are_about_every_model(line: str, expected: str) -> None:
    assert reason("Add", line) == expected


def test_exact_sums_must_agree_exactly() -> None:
    """Short numbers: no kernel rounds. Long ones: some do."""
    short, long = np.array([1.5, -2.0], np.float32), np.array([0.1, 4096.0], np.float32)
    for value, exact in ((short, True), (long, False)):
        case = Case("Sub", 14, [Operand(value, "data"), Operand(value, "stored")])
        assert compare.is_exact(case) == exact
    assert schema_of("Sub", 14).since_version == 14


def test_a_refusal_that_is_no_line_of_ours_is_found() -> None:
    case = Case("Bernoulli", 15)
    assert (
        run._unclear(case, "TLC202 one operator: unsupported operator Bernoulli at node 'the node'") is None
    )
    for detail in (
        "TLC999 one operator: node 'x': no",
        "TLC202 two\nlines of node 'x'",
        "TLC202 use np.atleast_1d(x)",
        "TLC202 it fails",
    ):
        assert run._unclear(case, detail) is not None
