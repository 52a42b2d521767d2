"""Keys: of typed values, injective; whatever decides an outcome is in them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum, IntEnum
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.clocks import GUARD
from tests.helpers import CERTIFICATES
from tlcheck import keys
from tlcheck.checking.journal import leaves_key
from tlcheck.cli.main import main
from tlcheck.keys import checker, graph_key, key, lasting_key, query_key
from tlcheck.options import Options
from tlcheck.readers.bundle.read import load_bundle
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import RegionGuidance
from tlcheck.trusted.plan import Plan, Settings

F = Fraction


@dataclass(frozen=True)
class A:
    x: object
    y: object = 0


@dataclass(frozen=True)
class B:
    x: object
    y: object = 0


class Colour(Enum):
    RED = 1
    ROSE = "RED"


class Level(IntEnum):
    ONE = 1


class Pair(NamedTuple):
    x: int
    y: int


def array(values: list[float], dtype: str) -> Any:
    return np.array(values, dtype)


VALUES: list[object] = [
    None, True, False, 1, 0, 1.0, 0.0, -0.0, "1", "", b"1", b"", "a", ("a",), ["a"], (), [], {}, F(1), F(1, 2), F(1, 3),
    -1, 2**70, float("inf"), float("nan"), "True", "None", Colour.RED, Colour.ROSE, Level.ONE, Pair(1, 2), (1, 2), (2, 1), (12,), "12",
    ("a", "bc"), ("ab", "c"), ("abc",), (("a", "b"), "c"), ("a", ("b", "c")), {"a": 1}, {"a": True}, {"a": 1, "b": 2}, {"a": 2, "b": 1},
    A(1), B(1), A(1, 1), A(True), A((1, 0)), A(A(1)), A("x"), {"x": 1, "y": 0},
    array([0, 0], "<f4"), array([0, 0], "<i4"), array([0], "<f8"), array([0], "<i8"), array([0], ">i8"), array([[0, 0]], "<f4"),
    array([[0], [0]], "<f4"), array([], "<f4"), array([], "<f8"), np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(()), np.float64(0), np.float32(0),
    np.array([True]), np.array([1], np.uint8), bytes(8),
]  # fmt: skip


def test_no_two_values_have_one_key() -> None:
    found = [key("k", value) for value in VALUES]
    equal = [
        (repr(VALUES[i]), repr(VALUES[j]))
        for i, j in combinations(range(len(found)), 2)
        if found[i] == found[j]
    ]
    assert equal == [("array(0.)", "np.float64(0.0)")]  # a number of numpy's is an array without axes


def test_kind_and_number_of_parts() -> None:
    lists = [
        ("k", "a", "bc"),
        ("k", "ab", "c"),
        ("k", ("a", "bc")),
        ("ka", "bc"),
        ("k",),
        ("k", ()),
        ("k", None),
        ("k", ""),
    ]
    assert len({key(kind, *parts) for kind, *parts in lists}) == len(lists)


def test_equal_values_have_one_key() -> None:
    assert key("k", {"a": 1, "b": 2}) == key("k", {"b": 2, "a": 1})
    assert key("k", A(F(2, 4))) == key("k", A(F(1, 2)))
    wide = np.arange(12.0).reshape(3, 4)
    assert (
        key("k", wide[:, ::2]) == key("k", wide[:, ::2].copy()) == key("k", np.asfortranarray(wide[:, ::2]))
    )


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, frozenset(), lambda: 1, A, int, SimpleNamespace(a=1), Path("x"), 1j, iter(()), bytearray(b"1"), memoryview(b"1"),
        np.array(["a"]), np.array([None]), np.array([(1, 2)], [("a", "i4"), ("b", "i4")]), np.datetime64(0, "s"), np.str_("a"),
        A(object()), [set()], {"a": {1}},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        key("k", value)


def test_a_subclass_is_not_taken_for_its_base() -> None:
    class Text(str):
        pass

    class Number(int):
        pass

    for value in (Text("a"), Number(1)):
        with pytest.raises(TypeError):
            key("k", value)


def test_what_lasts_depends_on_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    here = lasting_key("k", 1)
    assert here != key("k", 1) and here == lasting_key("k", 1)
    monkeypatch.setattr(keys, "checker", lambda: "another")
    assert lasting_key("k", 1) != here


def test_the_sources_are_all_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, a renamed one and one in another language each make another checker."""
    package = tmp_path / "tlcheck"
    package.mkdir(parents=True)
    monkeypatch.setattr(keys, "__file__", str(package / "keys.py"))
    seen = set()
    for change in (
        lambda: (tmp_path / "tlcheck" / "a.py").write_text("x = 1"),
        lambda: (tmp_path / "tlcheck" / "a.py").write_text("x = 2"),
        lambda: (tmp_path / "tlcheck" / "a.py").rename(tmp_path / "tlcheck" / "b.py"),
        lambda: (tmp_path / "tlcheck" / "kernel.c").write_text("int x;"),
    ):
        change()
        checker.cache_clear()
        seen.add(checker())
    checker.cache_clear()
    assert len(seen) == 4


# Of a claim.


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Two inputs, two disjuncts or leaves, splits and slopes: every field holds something."""
    return read_plan()


def read_plan() -> Plan:
    [loaded] = load_bundle(CERTIFICATES / "accept" / "digits-residual-many-leaves" / "x.tlcert", None, None)
    assert isinstance(loaded.claim, UnsatClaim) and loaded.guidance is not None
    given = loaded.guidance
    own = RegionGuidance(leaf_slopes=given.leaf_slopes, rows=np.arange(given.leaves.count))
    return Plan(loaded.claim, replace(given, own={0: own}), Settings())


def changed(value: Any) -> Iterator[Any]:
    """Values that differ from this one in one place, of every part of it."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float | Fraction):
        yield value + 1
    elif isinstance(value, str):
        yield value + "x"
    elif isinstance(value, np.ndarray):
        if value.size:
            other = value.copy()
            other.reshape(-1)[-1] = (
                1 - other.reshape(-1)[-1] if value.dtype.kind != "f" else other.reshape(-1)[-1] + 1
            )
            yield other
        yield np.append(value.reshape(-1), value.dtype.type(0))
    elif isinstance(value, tuple):
        yield (*value, value[-1]) if value else (0,)
        if value:
            for other in changed(value[-1]):
                yield (*value[:-1], other)
    elif isinstance(value, Mapping):
        for name in list(value)[:1]:
            yield {k: v for k, v in value.items() if k != name}
            for other in changed(value[name]):
                yield {**value, name: other}
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for other in changed(getattr(value, field.name)):
                yield unchecked(value, field.name, other)


def unchecked(value: Any, name: str, other: Any) -> Any:
    """The record with another value of a field, whatever its constructor would say."""
    made = object.__new__(type(value))
    for field in fields(value):
        object.__setattr__(made, field.name, other if field.name == name else getattr(value, field.name))
    return made


def test_every_field_of_query_guidance_and_settings_counts(plan: Plan) -> None:
    found = {leaves_key(plan)}
    count = 1
    for other in changed(plan.claim.query):
        found.add(leaves_key(unchecked(plan, "claim", unchecked(plan.claim, "query", other))))
        count += 1
    for name in ("guidance", "settings"):
        for other in changed(getattr(plan, name)):
            found.add(leaves_key(unchecked(plan, name, other)))
            count += 1
    assert len(found) == count > 50


def test_every_operation_of_the_graph_counts(plan: Plan) -> None:
    graph = plan.claim.graph
    found, count = {graph_key(graph)}, 1
    for i, node in enumerate(graph.nodes):
        for name in ("op", "inputs", "shape"):
            for other in changed(getattr(node, name)):
                nodes = (*graph.nodes[:i], unchecked(node, name, other), *graph.nodes[i + 1 :])
                found.add(graph_key(unchecked(graph, "nodes", nodes)))
                count += 1
    assert len(found) == count > 20
    assert graph_key(unchecked(graph, "outputs", (0,))) not in found


def test_names_decide_nothing(plan: Plan) -> None:
    graph = plan.claim.graph
    nodes = tuple(replace(node, label="another") for node in graph.nodes)
    assert graph_key(Graph(nodes, graph.outputs, graph.input_names, graph.output_names, {})) == graph_key(
        graph
    )


def test_read_twice_is_one_claim(plan: Plan) -> None:
    again = read_plan()
    assert query_key(again.claim.query) == query_key(plan.claim.query)
    assert leaves_key(again) == leaves_key(plan)


# Journals.


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """y = x; x in [0.1, 0.2], and 3 y <= 0.3 is claimed to hold nowhere but at the end: one instance."""
    for name, weight in (("net.onnx", 1.0), ("other.onnx", 2.0)):
        w = helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [weight])
        graph = helper.make_graph(
            [helper.make_node("Gemm", ["x", "w"], ["y"])], "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])], [w],
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(tmp_path / name))
    document = {
        "format": "vnnlib_suite_v0_1",
        "weights": {"file": "net.onnx"},
        "instances": [
            {"id": 0, "input_lo": [0.1], "input_hi": [0.2], "spec": [{"mat": [[3]], "rhs": [0.2]}]}
        ],
    }
    (tmp_path / "suite.json").write_text(json.dumps(document))
    return tmp_path / "suite.json"


def written(journal: Path) -> list[str]:
    return [json.loads(line)["key"] for line in journal.read_text().splitlines()[1:]]


def test_a_journal_serves_the_same_reading_only(suite: Path, tmp_path: Path) -> None:
    """Each option under which another claim is read, or decided otherwise, decides its leaves anew; the others do not."""
    journal = tmp_path / "j.jsonl"
    command = ["verify", "-q", str(suite), "--resume", str(journal)]
    for count, more in enumerate(
        (
            [], ["--decimals", "exact"], ["--arith", "arb"], ["--precision", "192"], ["--semantics", "deployed"],
            ["--semantics", "deployed", "--profile", "onnxruntime-cpu"], ["--model", str(tmp_path / "other.onnx")],
        ),
        1,
    ):  # fmt: skip
        assert main([*command, *more]) == 0
        assert len(set(written(journal))) == len(written(journal)) == count, more
    for more in (
        [],
        ["--jobs", "1"],
        ["--timeout", f"{GUARD:g}"],
        ["--input-format", "torchlean-suite"],
        ["--slack", "1"],
    ):
        assert main([*command, *more]) == 0
        assert len(written(journal)) == 7, more


def test_lines_of_an_older_journal_are_passed_over(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As version 0.1.0 wrote them: the key of files and names; and the right key with no plan's."""
    import hashlib

    journal = tmp_path / "j.jsonl"
    text = json.dumps(["0.1.0", [], "instance 0", {}], sort_keys=True)
    old = [
        {"journal": "tlcheck"},
        {"key": hashlib.sha256(text.encode()).hexdigest(), "leaves": [[0, True, "0x1p+9", False]]},
        {"leaves": [[0, True, "0x1p+9", False]]},
        {"key": None, "leaves": [[0, True, "0x1p+9", False]]},
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert main(["verify", str(suite), "--resume", str(journal)]) == 0
    assert "512" not in capsys.readouterr().out
    assert len(journal.read_text().splitlines()) == 5


def test_options_are_all_considered() -> None:
    """A new option has to be looked at here: what may it change?"""
    in_the_claim = {"model", "property", "input_format", "decimals", "slack"}
    in_the_settings = {"arith", "precision", "semantics", "profile"}
    nothing = {"jobs", "cross_check", "timeout", "max_memory_mib", "resume", "details"}
    assert {f.name for f in fields(Options)} == in_the_claim | in_the_settings | nothing
