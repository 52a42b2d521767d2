"""Templates: what is put in, and every brace that says nothing refused by its line."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.robust.template import Filling, Template, read_template
from tlcheck.writers.query_text import another_wins, query_text

F = Fraction
FILLING = Filling((F(1, 2), F(1, 4)), (F(1, 3), F(0)), (F(2, 3), F(1, 2)), F(1), F(1, 4), 3)
SAME = """; class {label} keeps, eps {eps}
(declare-const X_{i} Real)
(declare-const Y_{j} Real)
(assert (>= X_{i} {lower}))
(assert (<= X_{i} {upper}))
(assert (or
(and (>= Y_{other} Y_{label}))
))
"""


def test_the_usual_question_as_a_template() -> None:
    text = Template(SAME).filled(FILLING)
    usual = query_text(FILLING.lower, FILLING.upper, 3, [another_wins(1, 3)])
    assert read_property(text, n_inputs=2, n_outputs=3) == read_property(usual, n_inputs=2, n_outputs=3)
    assert text.startswith(b"; class 1 keeps, eps 0.25\n")


def test_places() -> None:
    template = Template("{x 0} {x 1} {lower 0} {upper 0}\n[{i}: {x}]\n")
    third = b"0.33333333333333333333", b"0.66666666666666666667"
    assert template.filled(FILLING) == b"0.5 0.25 %b %b\n[0: 0.5]\n[1: 0.25]\n" % third
    assert not template.asks_label
    assert Template("{other}").asks_class


@pytest.mark.parametrize(
    "text, words",
    [
        ("ok\n{nothing}", ("no placeholder", "line 2", "{nothing}")),
        ("{x}", ("which input's", "line 1")),
        ("{lower} {j}", ("which input's",)),
        ("{i} {j}", ("repeated for one thing", "i and j")),
        ("{x 01}", ("no placeholder",)),
        ("{", ("opens or closes nothing",)),
        ("{{x 0}}", ("opens or closes nothing",)),
        ("{X 0}", ("no placeholder",)),
        ("{}", ("no placeholder",)),
    ],
)
def test_what_is_no_template(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as error:
        Template(text, "t.vnnlib")
    assert error.value.code == "TLC501"
    assert all(word in error.value.line() for word in ("t.vnnlib", *words))


def test_what_cannot_be_put_in() -> None:
    with pytest.raises(InvalidInput, match="the network has 2 inputs"):
        Template("{x 2}").filled(FILLING)
    thirds = Filling((F(1, 3),), (F(0),), (F(1),), None, F(1), 2)
    with pytest.raises(InvalidInput, match=r"no short decimal.*x = 1/3"):
        Template("{x 0}").filled(thirds)
    with pytest.raises(InvalidInput, match="no label"):
        Template("{label}").filled(thirds)
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_template(b"\xff", "t")
