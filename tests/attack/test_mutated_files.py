"""Mutants on disk: every JSON field, every array, bytes of the model and of the property, hashes made to fit.

Each runs through the readers and the check. Only InvalidInput may escape; what is certified must not be refuted by an
attack; and with a property that a known point makes false nothing is certified.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack import mutations, seeds
from tests.attack.seeds import Dump
from tests.helpers import DATA
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import load, verify_path

SOAK = bool(os.environ.get("TLCHECK_SOAK"))
OPTIONS = Options(jobs=1)
REAL = DATA / "abcrown" / "safenlp" / "medical_1738"

JSON_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    1e300,
    0.5,
    "",
    "x",
    "../x",
    [],
    {},
    [[]],
    {"a": 1},
    ["net.onnx"],
]


def decide(folder: Path) -> str:
    """The verdict, or "INVALID". Anything else that escapes is a bug."""
    try:
        [result] = verify_path(folder, OPTIONS).claims
    except InvalidInput as error:
        assert len(error.in_file(str(folder)).line().splitlines()) == 1
        return "INVALID"
    return result.verdict.value


def check(folder: Path, dump: Dump, lie: bytes | None, tally: Counter[str], what: str) -> list[str]:
    """Violations of this mutant, with its own property and, when ``lie`` is given, with that one."""
    rng = np.random.default_rng(len(what))
    violations = []
    verdict = decide(dump.write(folder))
    tally["mutants"] += 1
    tally[verdict] += 1
    if verdict == Verdict.CERTIFIED.value:
        for item in load(folder, OPTIONS).items:
            if isinstance(item.claim, UnsatClaim) and mutations.counterexample(item.claim, rng) is not None:
                violations.append(f"{what}: certified and refuted")
    if lie is not None and isinstance(dump.manifest, dict):
        false = copy.copy(dump)
        false.files = {**dump.files, "p.vnnlib": lie}
        false.manifest = dict(dump.manifest)
        try:
            false.rehash()
        except (KeyError, TypeError):
            return violations
        verdict = decide(false.write(folder))
        tally[f"false claim {verdict}"] += 1
        if verdict == Verdict.CERTIFIED.value:
            violations.append(f"{what}: a false claim is certified")
    return violations


def lie_of(kind: str) -> bytes:
    """The tiny property with its first threshold at what the network attains."""
    claim, _ = seeds.tiny_claim(kind)
    d = claim.query.disjuncts[0]
    best = mutations.search(claim, d, np.random.default_rng(5), rounds=20)
    assert best is not None
    attained = mutations.outputs_at(claim.graph, best[None])[0, 0]
    lie = seeds.PROPERTY.replace(b"(<= Y_0 -9.1)", f"(<= Y_0 {attained + 1e-9:.12f})".encode())
    query = read_property(lie, n_inputs=2, n_outputs=2)
    false = UnsatClaim(claim.graph, query)
    assert mutations.refutes(false, query.disjuncts[0], mutations.exactly(d.box, best))
    return lie


def json_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, part in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from json_paths(part, (*path, key))


def put(document: Any, path: tuple[Any, ...], value: Any, *, remove: bool = False) -> Any:
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


@pytest.mark.parametrize("kind", seeds.KINDS)
def test_json_fields(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    dump, lie, tally, violations = seeds.tiny_dump(kind), lie_of(kind), Counter[str](), []
    for path in json_paths(dump.manifest):
        if len(path) > 2 and not SOAK and rng.random() < 0.8:
            continue  # the many shapes and types of arrays
        for value in JSON_VALUES if SOAK else [JSON_VALUES[int(rng.integers(len(JSON_VALUES)))]]:
            mutant = copy.copy(dump)
            mutant.manifest = put(dump.manifest, path, value)
            violations += check(tmp_path / "d", mutant, lie, tally, f"{path} = {value!r}")
        mutant = copy.copy(dump)
        mutant.manifest = put(dump.manifest, path, None, remove=True)
        violations += check(tmp_path / "d", mutant, lie, tally, f"{path} removed")
    assert violations == []
    assert tally["INVALID"] > 10 and tally["false claim UNPROVEN"] > 0


@pytest.mark.parametrize("kind", seeds.KINDS)
def test_arrays(kind: str, tmp_path: Path) -> None:
    """Every array: one entry, its whole, its type, missing."""
    rng = np.random.default_rng(12)
    dump, lie, tally, violations = seeds.tiny_dump(kind), lie_of(kind), Counter[str](), []
    for name, array in dump.arrays.items():
        for what, changed in array_mutants(array, rng):
            mutant = copy.copy(dump)
            mutant.arrays = {**dump.arrays, name: changed}
            violations += check(tmp_path / "d", mutant, lie, tally, f"{name} {what}")
        mutant = copy.copy(dump)
        mutant.arrays = {k: v for k, v in dump.arrays.items() if k != name}
        violations += check(tmp_path / "d", mutant, lie, tally, f"{name} missing")
    assert violations == []
    assert tally["CERTIFIED"] > 0 and tally["INVALID"] > 0 and tally["false claim UNPROVEN"] > 0


def array_mutants(array: Any, rng: Any) -> Iterator[tuple[str, Any]]:
    entries = mutations.float_changes(rng) if array.dtype.kind == "f" else mutations.INT_CHANGES
    whole = mutations.WHOLE
    if not SOAK:
        entries = [entries[k] for k in rng.choice(len(entries), 2, replace=False)]
        whole = [whole[int(rng.integers(len(whole)))]]
    for what, change in entries if array.dtype.kind != "b" else ():
        changed = array.copy()
        at = int(rng.integers(array.size))
        value = change(array.reshape(-1)[at].item())
        if array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            value = min(max(value, info.min), info.max)
        with np.errstate(over="ignore"):
            changed.reshape(-1)[at] = value
        yield f"[{at}] {what}", changed
    for what, change_all in whole:
        yield what, change_all(array, rng)
    for dtype in ("float64", "int64", "complex64", "S4", "U4", ">f4", ">i4", "float16", "bool", "object"):
        if SOAK or rng.random() < 0.2:
            yield f"as {dtype}", array.astype(dtype)


@pytest.mark.parametrize("kind", seeds.KINDS)
def test_bytes_of_the_model(kind: str, tmp_path: Path) -> None:
    """The model changes and its hash with it: binding passes, so the claim is another one."""
    rng = np.random.default_rng(13)
    dump, tally, violations = seeds.tiny_dump(kind), Counter[str](), []
    original = dump.files["net.onnx"]
    for k in range(600 if SOAK else 50):
        data = byte_mutant(original, rng)
        mutant = copy.copy(dump)
        mutant.manifest, mutant.files = dict(dump.manifest), {**dump.files, "net.onnx": data}
        mutant.rehash()
        violations += check(tmp_path / "d", mutant, None, tally, f"model mutant {k}")
    assert violations == []
    assert tally["INVALID"] > 0


def byte_mutant(data: bytes, rng: Any) -> bytes:
    changed = bytearray(data)
    kind = int(rng.integers(6))
    at = int(rng.integers(len(changed)))
    if kind == 0:
        changed[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        changed[at] = int(rng.integers(256))
    elif kind == 2:
        del changed[at : at + int(rng.integers(1, 9))]
    elif kind == 3:
        changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
    elif kind == 4:
        del changed[at:]
    else:
        changed[at : at + 4] = changed[at + 4 : at + 8] + changed[at : at + 4]
    return bytes(changed)


@pytest.mark.parametrize("kind", ["activation", "lines"])
def test_bytes_of_the_property(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    dump, tally, violations = seeds.tiny_dump(kind), Counter[str](), []
    digits = [k for k, b in enumerate(seeds.PROPERTY) if chr(b).isdigit() or chr(b) in "<>=-."]
    for k in range(600 if SOAK else 80):
        changed = bytearray(seeds.PROPERTY)
        if k % 4:
            changed[int(rng.choice(digits))] = int(rng.choice(list(b"0123456789<>=-.e ")))
        else:
            changed = bytearray(byte_mutant(seeds.PROPERTY, rng))
        mutant = copy.copy(dump)
        mutant.manifest, mutant.files = dict(dump.manifest), {**dump.files, "p.vnnlib": bytes(changed)}
        mutant.rehash()
        violations += check(tmp_path / "d", mutant, None, tally, f"property mutant {k}: {bytes(changed)!r}")
    assert violations == []
    assert tally["CERTIFIED"] > 0 and tally["UNPROVEN"] > 0 and tally["INVALID"] > 0


def test_bytes_of_the_bundle(tmp_path: Path) -> None:
    """A bundle's manifest, field by field; and a zip's bytes, where every change must be seen or harmless."""
    rng = np.random.default_rng(15)
    folder = seeds.tiny_bundle(tmp_path / "b.tlcert", as_zip=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    verdicts = Counter[str]()
    for path in json_paths(manifest):
        for value in JSON_VALUES if SOAK else [JSON_VALUES[int(rng.integers(len(JSON_VALUES)))]]:
            (folder / "manifest.json").write_text(json.dumps(put(manifest, path, value)))
            verdicts[decide(folder)] += 1
    packed = seeds.tiny_bundle(tmp_path / "z.tlcert")
    original = packed.read_bytes()
    for _ in range(1000 if SOAK else 80):
        packed.write_bytes(byte_mutant(original, rng))
        verdicts[decide(packed)] += 1
    # The claim inside is bound by hashes: no mutant makes it another one, so CERTIFIED is true where it stands.
    assert verdicts["INVALID"] > 80
    assert set(verdicts) <= {"INVALID", "CERTIFIED", "UNPROVEN"}


@pytest.mark.skipif(not REAL.is_dir(), reason="shared data not present")
def test_a_real_dump_with_changed_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(16)
    manifest = json.loads((REAL / "certificate.json").read_text())
    with np.load(REAL / "arrays.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    names = [manifest["onnx_file"], manifest["vnnlib_file"]]
    dump = Dump(manifest, arrays, {name: (REAL / name).read_bytes() for name in names})
    tally, violations = Counter[str](), []
    for k in range(200 if SOAK else 10):
        name = names[k % 2]
        mutant = copy.copy(dump)
        mutant.manifest, mutant.files = (
            dict(manifest),
            {**dump.files, name: byte_mutant(dump.files[name], rng)},
        )
        mutant.rehash()
        violations += check(tmp_path / "d", mutant, None, tally, f"{name} mutant {k}")
    assert violations == []
