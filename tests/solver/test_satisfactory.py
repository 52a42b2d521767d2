"""The known-answer tests of vnnlib-satisfactory: no wrong answer, and these are answered."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.solver.satisfactory import Case, cases, rulings

pytest.importorskip("vnntest", reason="vnnlib-satisfactory is not installed")

MAY_BE_UNKNOWN = {"shape", "softmax", "network_isomorphic"}
"""Categories in which some answer is unknown, or the query refused."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return cases(tmp_path_factory.mktemp("satisfactory"))


def test_two_of_each_category(generated: list[Case]) -> None:
    chosen = [case for case in generated if case.name.endswith(("01", "02"))]
    assert len(chosen) > 70
    for case, ruling, run, _ in rulings(chosen, 2.0):
        assert ruling != "wrong", case.name
        assert ruling == "right" or case.category in MAY_BE_UNKNOWN, (case.name, ruling, run.err)


def test_every_query_is_read_and_the_ill_typed_one_refused(generated: list[Case]) -> None:
    from tlcheck.errors import InvalidInput
    from tlcheck.readers.vnnlib.normal_form import normal_form
    from tlcheck.readers.vnnlib.read import read_any_property

    refused = []
    for case in generated:
        try:
            found = read_any_property(case.query.read_bytes())
        except InvalidInput as error:
            refused.append((case.name, error.code))
            continue
        clip = None if case.name != "maxpool03" else Fraction(2**20)  # the one with inputs without bounds
        assert normal_form(found.assertions, found.space, clip).disjuncts
    assert refused == [("network_isomorphic01", "TLC301")]
