"""The reference checker against ``tlcheck verify``: ``python -m tests.twin [PART ...] [--mutants N] [--seed N] [--seconds N]``.

Parts: ``corpus`` (every case of certificates/), ``truth`` (claims whose truth is known by exact evaluation: tests/twin_truth.py),
``certify`` (proofs found in the run, of networks of every operator that both know: tests/twin_networks.py), ``mutants`` (of small cases
of the corpus and of those proofs; by field: tests/twin_fields.py) and ``dumps`` (those of the shared data, as bundles). FALSE is what a
checker CERTIFIES and the other calls INVALID or REFUTED, or what is known to be false: any makes the exit code 1. Where only one
certifies and the other says UNPROVEN or UNSUPPORTED, the case is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from tests.helpers import CERTIFICATES, DATA
from tests.twin_bundles import REFERENCE, SCRIPT, Files, files_of, joined, role, sealed, split_arrays, write
from tests.twin_fields import FIELDS
from tests.twin_networks import BUILDERS, ROOMS, write_case
from tests.twin_truth import claims, formulas, networks
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.verify import verify_path
from tlcheck.writers.convert import convert

GROUPS = ("accept", "reject", "undecided", "malformed", "regressions")
FALSE = ("INVALID", "REFUTED")


Said = list[tuple[str, str]]  # verdict and reason of every claim


def by_reference(path: Path) -> Said:
    return [(verdict, reason) for _, verdict, reason in REFERENCE.check(str(path))]


def by_tlcheck(path: Path) -> Said:
    try:
        claims = verify_path(path, Options(jobs=1)).claims
    except InvalidInput as problem:
        return [("INVALID", problem.line())]
    return [(claim.verdict.value, str(claim.reason)) for claim in claims]


def in_time(path: Path, seconds: int) -> tuple[Said, float]:
    """The reference checker in a process of its own, stopped after so many CPU seconds; what it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # noqa: E731
    done = subprocess.run(
        [sys.executable, SCRIPT, path], capture_output=True, text=True, preexec_fn=limit, check=False
    )
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    if done.returncode not in (0, 1, 3, 4):
        return [("TOO SLOW", f"more than {seconds} s")] if done.returncode < 0 else [
            ("CRASH", done.stderr[-300:])
        ], took
    return [tuple(line.split(None, 1)) for line in done.stdout.splitlines()], took


@dataclass(frozen=True)
class Pair:
    """What both said of one claim."""

    case: str
    ours: tuple[str, str]
    reference: tuple[str, str]
    true: bool | None = None  # where it is known

    @property
    def kind(self) -> str:
        a, b = self.ours[0], self.reference[0]
        if self.true is not None and "CERTIFIED" in (a, b) and not self.true:
            return "FALSE"
        if self.true is not None:
            return f"{'true' if self.true else 'false'}: " + (
                f"both {a}" if a == b else f"tlcheck {a}, reference {b}"
            )
        if "CRASH" in (a, b) or ("CERTIFIED" in (a, b) and {a, b} & set(FALSE)):
            return "FALSE"
        if a == b:
            return f"both {a}"
        if "CERTIFIED" in (a, b):
            return f"tlcheck {a}, reference {b}"
        return "neither certifies, other words"

    @property
    def listed(self) -> bool:
        return (
            self.kind == "FALSE"
            or ("CERTIFIED" in (self.ours[0], self.reference[0]) and self.ours[0] != self.reference[0])
            or (self.true is True and {self.ours[0], self.reference[0]} != {"CERTIFIED"})
        )


def pairs(case: str, ours: Said, reference: Said) -> list[Pair]:
    if len(ours) != len(reference):  # one of them refuses the whole bundle
        worst = lambda said: min(said, key=lambda s: s[0] == "CERTIFIED")  # noqa: E731
        return [Pair(case, worst(ours), worst(reference))]
    return [Pair(case, a, b) for a, b in zip(ours, reference, strict=True)]


def compare(case: str, path: Path) -> list[Pair]:
    try:
        reference = by_reference(path)
    except Exception as e:  # noqa: BLE001
        reference = [("CRASH", repr(e))]
    return pairs(case, by_tlcheck(path), reference)


def corpus() -> Iterator[Pair]:
    """Every case that is a bundle, but for claims of other kinds than unsat, which only tlcheck knows."""
    for path in sorted(p for group in GROUPS for p in (CERTIFICATES / group).glob("*/x.tlcert")):
        if any(not reason.startswith("a claim of kind") for _, reason in by_reference(path)):
            found = compare(f"{path.parts[-3]}/{path.parts[-2]}", path)
            yield from (p for p in found if not p.reference[1].startswith("a claim of kind"))


def dumps(seconds: int, folder: Path) -> Iterator[Pair]:
    """The dumps of the shared data, converted; each for so many CPU seconds at most."""
    found = [p.parent for p in (DATA / "abcrown").glob("*/*/certificate.json")] if DATA.is_dir() else []
    found.sort(key=lambda dump: (sum(p.stat().st_size for p in dump.iterdir()), dump))
    if not found:
        print("dumps: skipped, the shared data is not there")
    for number, dump in enumerate(found):
        path = folder / f"{number}.tlcert"
        convert(dump, path, Options())
        reference, took = in_time(path, seconds)
        pair = Pair(f"{dump.parent.name}/{dump.name}", by_tlcheck(path)[0], reference[0])
        print(
            f"  {took:7.1f} s  {pair.case}: tlcheck {pair.ours[0]}, reference {' '.join(pair.reference)[:90]}",
            flush=True,
        )
        yield pair


def certify(folder: Path, each: int, seed: int) -> Iterator[Path]:
    """Proofs of small networks, one of each family, found by ``tlcheck certify``: the narrowest property that it proves."""
    for name, number in product(sorted(BUILDERS), range(each)):
        for room in ROOMS.get(name, (0.6, 1.2)):
            here = folder / f"{name}-{number}"
            shutil.rmtree(here, ignore_errors=True)
            here.mkdir(parents=True)
            write_case(name, here, seed + number, room)
            command = [
                "certify",
                here / "net.onnx",
                here / "p.vnnlib",
                "-o",
                here / "x.tlcert",
                "--timeout",
                "20",
                "--jobs",
                "1",
            ]
            done = subprocess.run(
                [sys.executable, "-m", "tlcheck", *command], capture_output=True, text=True, check=False
            )
            if (here / "x.tlcert").exists() and b'"unsat"' in files_of(here / "x.tlcert")["manifest.json"]:
                yield here / "x.tlcert"
                break
        else:
            print(f"certify: no proof of {here.name}: {(done.stdout + done.stderr)[-200:]!r}")


def narrowed(path: Path, folder: Path, seed: int) -> Iterator[Pair]:
    """The proof, put to properties that some samples satisfy by far: false claims with the evidence of a true one."""
    name, number = path.parent.name.rsplit("-", 1)
    files = files_of(path)
    (claim,) = json.loads(files["manifest.json"])["claims"]
    for room in (-0.02, -0.1, -0.3):
        here = folder / f"{path.parent.name}{room}"
        here.mkdir(parents=True)
        write_case(name, here, seed + int(number), room)
        write(sealed(files | {claim["property"]: (here / "p.vnnlib").read_bytes()}), here / "x.tlcert")
        for pair in compare(f"{path.parent.name} with the property narrowed by {-room}", here / "x.tlcert"):
            yield replace(pair, true=False)


def evidence_of(path: Path) -> str:
    """How many leaves and splits a proof has, and of what."""
    files = files_of(path)
    (claim,) = json.loads(files["manifest.json"])["claims"]
    arrays = REFERENCE.read_arrays(files[claim["evidence"]["arrays"]])
    tree = {k.rpartition("/")[2]: a.values for k, a in arrays.items() if "/tree/" in "/" + k}
    cuts = Counter(
        "input" if n == 0 else "neuron"
        for n, kind in zip(tree["node"], tree["kind"], strict=True)
        if not kind
    )
    slopes = any("slopes" in k for k in arrays)
    return f"{len(tree['roots'])} disjuncts, {sum(tree['kind'])} leaves, splits {dict(cuts)}{', slopes' if slopes else ''}"


# ---- Mutants ----


def changed_byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


Mutation = Callable[[Files, random.Random], Files | bytes | None]


def flipped(kind: str, seal: bool) -> Mutation:
    """One bit of a file, with the manifest's hash rewritten or not."""

    def mutate(files: Files, rng: random.Random) -> Files | None:
        name = "manifest.json" if kind == "manifest" else role(files, rng, kind)
        if name is None or not files[name]:
            return None
        changed = files | {name: changed_byte(files[name], rng)}
        return sealed(changed) if seal else changed

    return mutate


def weight(files: Files, rng: random.Random) -> Files | None:
    """One float of the model, by a little or a lot."""
    import onnx
    from onnx import numpy_helper

    name = role(files, rng, "model")
    if name is None or files[name][:2] == b"\x1f\x8b":
        return None
    model = onnx.load_model_from_string(files[name])
    tensors = [
        t
        for t in model.graph.initializer
        if t.data_type in (1, 11) and not t.data_location and 0 not in t.dims
    ]
    if not tensors:
        return None
    tensor = rng.choice(tensors)
    values = numpy_helper.to_array(tensor).copy()
    at = rng.randrange(values.size)
    v = float(values.flat[at])
    values.flat[at] = rng.choice([-v, 0, v * 1.0000002, v * 3, v + 0.01, 1e30, 1e-40])
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return sealed(files | {name: model.SerializeToString()})


def rewired(files: Files, rng: random.Random) -> Files | None:
    """An attribute, a name or an operator of the model."""
    import onnx

    name = role(files, rng, "model")
    if name is None or files[name][:2] == b"\x1f\x8b":
        return None
    model = onnx.load_model_from_string(files[name])
    node = rng.choice(model.graph.node)
    kind = rng.randrange(6)
    if kind == 0 and node.attribute:
        attribute = rng.choice(node.attribute)
        if attribute.type == 2:
            attribute.i += rng.choice([-1, 1, 2])
        elif attribute.type == 1:
            attribute.f *= rng.choice([-1, 0.5, 2])
        elif attribute.type == 7 and attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] += rng.choice([-1, 1])
    elif kind == 1:
        node.op_type = rng.choice(
            ["Relu", "Abs", "LeakyRelu", "Identity", "Clip", "Sigmoid", "Neg", "Add", "Sub", "MatMul"]
        )
    elif kind == 2 and node.input:
        names = [
            *(t.name for t in model.graph.initializer),
            *(o for n in model.graph.node for o in n.output),
            *(i.name for i in model.graph.input),
            "",
        ]
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif kind == 3:
        model.opset_import[0].version = rng.randrange(6, 24)
    elif kind == 4:
        model.graph.output[0].name = rng.choice([o for n in model.graph.node for o in n.output])
    else:
        model.graph.node.remove(node)
    return sealed(files | {name: model.SerializeToString()})


def literal(files: Files, rng: random.Random) -> Files | None:
    """A number, a relation, a name or a word of the property."""
    name = role(files, rng, "property")
    if name is None or files[name][:2] == b"\x1f\x8b":
        return None
    text = files[name].decode()
    start = max(text.find("(assert"), 0)
    tokens = list(re.finditer(r"[^\s()]+", text[start:]))
    near = [m for m in tokens if m[0] not in ("assert", "declare-const", "Real")]
    token = rng.choice(near or tokens)
    word = token[0]
    if word in ("<=", ">=", "<", ">"):
        new = rng.choice(["<=", ">=", "<", ">", "=", "!="])
    elif word[0] in "XY":
        new = rng.choice(["X", "Y"]) + f"_{rng.randrange(4)}"
    elif re.fullmatch(r"[-+]?\d[-+.\deE]*", word):
        shift = rng.choice([1.0, 1e-9, 0.01, -0.01])
        new = rng.choice(
            [
                "-" + word,
                "1e-400",
                "0",
                "1/3",
                "0x1p3",
                word + "0",
                word + "e1",
                "+" + word,
                "." + word,
                word + ".",
                "nan",
                f"{float(word) + shift:.12g}",
            ]
        )
    else:
        new = rng.choice(["and", "or", "not", "", "+", "-", "*", "true", "false"])
    return sealed(
        files
        | {
            name: (
                text[:start] + text[start : start + token.start()] + new + text[start + token.end() :]
            ).encode()
        }
    )


NUMBERS = {"F32": "f", "F64": "d", "I32": "i", "I64": "q", "U8": "B", "BOOL": "B"}


def entry(files: Files, rng: random.Random) -> Files | None:
    """One number of one array."""
    import struct

    name = role(files, rng, "arrays")
    arrays = split_arrays(files[name]) if name else {}
    full = [k for k, (_, _, data) in arrays.items() if data]
    if name is None or not full:
        return None
    tried = [k for k in full if "/tree/" in k or "/leaves/" in k or "/regions/" in k]
    key = rng.choice(tried if tried and rng.random() < 0.7 else full)
    kind, shape, data = arrays[key]
    size = struct.calcsize("<" + NUMBERS[kind])
    at = rng.randrange(len(data) // size)
    (value,) = struct.unpack_from("<" + NUMBERS[kind], data, at * size)
    if kind[0] == "F":
        value = rng.choice(
            [
                0.0,
                -value,
                value * 2,
                value * 0.99,
                value + 1e-3,
                1.0,
                -1.0,
                float("nan"),
                float("inf"),
                5e-324,
                1e30,
                2.5,
            ]
        )
    else:
        value = rng.choice([0, 1, value + 1, value - 1, -1, 2, value ^ 1])
    try:
        changed = data[: at * size] + struct.pack("<" + NUMBERS[kind], value) + data[(at + 1) * size :]
    except (struct.error, OverflowError):
        return None
    return sealed(files | {name: joined(arrays | {key: (kind, shape, changed)})})


def rows(files: Files, rng: random.Random) -> Files | None:
    """An array dropped, renamed, of another type or shape, or a row of all arrays of one length dropped, repeated or moved."""
    name = role(files, rng, "arrays")
    arrays = split_arrays(files[name]) if name else {}
    if name is None or not arrays:
        return None
    key = rng.choice(sorted(arrays))
    kind, shape, data = arrays[key]
    way = rng.randrange(6)
    if way == 0:
        del arrays[key]
    elif way == 1:
        arrays[
            key.rsplit("/", 1)[0]
            + "/"
            + rng.choice(["lower", "upper", "columns", "row", "kind", "extra", "disjunct"])
        ] = arrays.pop(key)
    elif way == 2:
        other = rng.choice(
            [k for k in NUMBERS if NUMBERS[k] in "fi"] if kind in ("F32", "I32") else list(NUMBERS)
        )
        arrays[key] = (other, shape, data)
    elif way == 3 and shape:
        arrays[key] = (kind, [*shape[:-1], shape[-1] + rng.choice([-1, 1])], data)
    else:
        group, length = key.rsplit("/", 1)[0], shape[0] if shape else 0
        at, to = (rng.randrange(length), rng.randrange(length)) if length else (0, 0)
        for k, (t, s, d) in arrays.items():
            if k.rsplit("/", 1)[0] == group and s and s[0] == length and length:
                step = len(d) // length
                items = [d[i * step : (i + 1) * step] for i in range(length)]
                if way == 4:
                    items[at], items[to] = items[to], items[at]
                elif rng.random() < 0.5:
                    items.pop(at)
                else:
                    items.insert(to, items[at])
                arrays[k] = (t, [len(items), *s[1:]], b"".join(items))
    return sealed(files | {name: joined(arrays)})


def leaf(files: Files, rng: random.Random) -> Files | None:
    """The leaf of a tree's row: another one's, or the row of another subtree."""
    name = role(files, rng, "arrays")
    arrays = split_arrays(files[name]) if name else {}
    trees = [k for k in arrays if k.endswith("tree/kind")]
    if name is None or not trees:
        return None
    base = rng.choice(trees)[: -len("kind")]
    key = base + rng.choice(["below", "above", "roots", "index", "node", "point"])
    kind, shape, data = arrays[key]
    length = shape[0]
    if length < 1:
        return None
    step = len(data) // length
    items = [data[i * step : (i + 1) * step] for i in range(length)]
    items[rng.randrange(length)] = items[rng.randrange(length)]
    return sealed(files | {name: joined(arrays | {key: (kind, shape, b"".join(items))})})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for k in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[k], (*path, k))


def manifest_field(files: Files, rng: random.Random) -> Files | None:
    """A field of the manifest: dropped, added, of another type or value."""
    manifest = json.loads(files["manifest.json"])
    *way, last = rng.choice(list(places(manifest)))
    inside = manifest
    for k in way:
        inside = inside[k]
    old = inside[last]
    kind = rng.randrange(5)
    if kind == 0:
        del inside[last]
    elif kind == 1:
        inside[last] = rng.choice(
            [None, True, 0, 1, 2, 1.0, "", "0", [], {}, [old], {"sha256": "0" * 64}, "c1/", "../x", -1]
        )
    elif kind == 2 and isinstance(inside, dict):
        inside[
            rng.choice(["extra", "name", "part", "prefix", "nodes", "unpacked_sha256", "per_leaf_bounds"])
        ] = rng.choice([old, "x", 1, True, []])
    elif kind == 3 and isinstance(inside, list):
        inside.insert(rng.randrange(len(inside) + 1), old)
    elif isinstance(old, bool):
        inside[last] = not old
    elif isinstance(old, str):
        inside[last] = rng.choice([old + "x", old[:-1], old.upper(), old + "/", "./" + old])
    elif isinstance(old, list):
        rng.shuffle(old)
    return files | {"manifest.json": json.dumps(manifest).encode()}


def manifest_text(files: Files, rng: random.Random) -> Files | None:
    """The manifest's text: keys twice, numbers and white space otherwise, a byte order mark."""
    text = files["manifest.json"].decode()
    way = rng.randrange(7)
    if way == 0:
        text = text.replace("{", '{"format": "tlcheck.bundle", ', 1)
    elif way == 1:
        text = "\ufeff" + text
    elif way == 2:
        text += rng.choice([" ", "\n", "{}", "\0", ","])
    elif way == 3:
        text = re.sub(
            r'"version": 1\b',
            '"version": ' + rng.choice(["1.0", "1e0", "01", "+1", "-1", "2", '"1"', "true", "1.5"]),
            text,
        )
    elif way == 4:
        text = re.sub(
            r'"bytes": (\d+)',
            lambda m: (
                '"bytes": ' + rng.choice([m[1] + ".0", m[1] + "e0", '"' + m[1] + '"', "-" + m[1], m[1] + "0"])
            ),
            text,
            count=1,
        )
    elif way == 5:
        text = text.replace('"kind"', rng.choice(['"k\\u0069nd"', "'kind'", '"Kind"', '"kind" ']), 1)
    else:
        text = text.replace('"claims"', '"notes": {}, "claims"')
    return files | {"manifest.json": text.encode()}


def roles(files: Files, rng: random.Random) -> Files | None:
    """Two files change their roles, or their contents."""
    manifest = json.loads(files["manifest.json"])
    names = sorted(manifest["files"])
    if len(names) < 2:
        return None
    a, b = rng.sample(names, 2)
    if rng.random() < 0.5:
        return sealed(files | {a: files[b], b: files[a]})
    text = (
        json.dumps(manifest["claims"])
        .replace(json.dumps(a), '"\0"')
        .replace(json.dumps(b), json.dumps(a))
        .replace('"\0"', json.dumps(b))
    )
    return sealed(files, manifest | {"claims": json.loads(text)})


def names(files: Files, rng: random.Random) -> Files | None:
    """Two names of the nodes' table are exchanged, or one is another tensor's."""
    manifest = json.loads(files["manifest.json"])
    claims = [
        c for c in manifest["claims"] if c["kind"] == "unsat" and len(c["evidence"].get("nodes", [])) > 1
    ]
    if not claims:
        return None
    nodes = rng.choice(claims)["evidence"]["nodes"]
    i, j = rng.sample(range(len(nodes)), 2)
    if rng.random() < 0.7:
        nodes[i], nodes[j] = nodes[j], nodes[i]
    else:
        nodes[i] = nodes[j]
    return sealed(files, manifest)


MUTATIONS: dict[str, Mutation] = {
    "model bit, sealed": flipped("model", True), "model bit": flipped("model", False), "property bit, sealed": flipped("property", True),
    "arrays bit, sealed": flipped("arrays", True), "arrays bit": flipped("arrays", False), "manifest bit": flipped("manifest", False),
    "weight": weight, "graph": rewired, "property": literal, "number": entry, "array": rows, "tree": leaf, "manifest": manifest_field,
    "manifest's text": manifest_text, "roles": roles, "nodes": names, **FIELDS,
}  # fmt: skip


def exchanged(files: Files, other: Files, rng: random.Random) -> Files | None:
    """One file of another bundle in place of that of the same role: evidence of another claim."""
    kind = rng.choice(["model", "property", "arrays"])
    mine, theirs = role(files, rng, kind), role(other, rng, kind)
    return None if mine is None or theirs is None else sealed(files | {mine: other[theirs]})


def known_claims(folder: Path, count: int, seed: int) -> Iterator[Pair]:
    """Claims of known truth on tiny networks, and formulas that a point of a grid may satisfy: a false one that either certifies is FALSE.

    A true one about a network that one of them does not certify is listed: there the evidence is exact.
    """
    folder.mkdir(parents=True)
    for name, net in networks().items():
        files, made = claims(name, net)
        write(files, folder / name)
        for (said, true), pair in zip(made, compare(name, folder / name), strict=True):
            yield replace(pair, case=said, true=true)
    for number, (files, said, met) in enumerate(formulas(count, seed)):
        write(files, folder / str(number))
        for pair in compare(said, folder / str(number)):
            yield replace(pair, true=False if met else None)


def mutant_bases(more: list[Path]) -> list[tuple[str, Files]]:
    """Cases that both decide, small ones first, and each quickly."""
    found = [
        p
        for group in ("accept", "reject", "regressions")
        for p in sorted((CERTIFICATES / group).glob("*/x.tlcert"))
    ]
    bases = []
    for path in (p for p in found + more if p.is_dir() or p.stat().st_size < 60_000):
        files = files_of(path)
        small = sum(map(len, files.values())) < 40_000 and b'"unsat"' in files["manifest.json"]
        if small and all(verdict in ("CERTIFIED", "UNPROVEN") for verdict, _ in by_reference(path)):
            bases.append((f"{path.parts[-3]}/{path.parts[-2]}", files))
    return bases


def mutants(
    count: int, seed: int, folder: Path, bases: list[tuple[str, Files]]
) -> Iterator[tuple[str, list[Pair]]]:
    rng = random.Random(seed)
    made, so_far = 0, Counter[str]()
    while made < count:
        case, files = rng.choice(bases)
        kind = rng.choice([*MUTATIONS, "evidence of another claim"])
        changed = (
            MUTATIONS[kind](files, rng) if kind in MUTATIONS else exchanged(files, rng.choice(bases)[1], rng)
        )
        if changed is None or changed == files:
            continue
        path = folder / f"{made}.tlcert"
        folder.mkdir(exist_ok=True)
        write(changed, path)
        found = compare(f"mutant {made} of {case}: {kind}", path)
        path.unlink() if path.is_file() else shutil.rmtree(path)
        report_false(found)
        made += 1
        so_far.update(p.kind for p in found)
        if made % 250 == 0:
            print(f"  {made} mutants: {dict(so_far)}", flush=True)
        yield kind, found


def report_false(found: list[Pair]) -> None:
    for p in found:
        if p.kind == "FALSE":
            print(
                f"    {p.case}: tlcheck {p.ours[0]} ({p.ours[1][:140]}), reference {p.reference[0]} ({p.reference[1][:140]})",
                flush=True,
            )


def report(title: str, found: list[Pair]) -> bool:
    """The table of one part, and what is listed; whether nothing is false."""
    print(f"{title}: {len(found)} claims")
    for kind, count in sorted(Counter(p.kind for p in found).items()):
        print(f"  {count:6} {kind}")
    for p in found:
        if p.listed:
            print(
                f"    {p.case}: tlcheck {p.ours[0]} ({p.ours[1][:140]}), reference {p.reference[0]} ({p.reference[1][:140]})"
            )
    sys.stdout.flush()
    return all(p.kind != "FALSE" for p in found)


PARTS = ("corpus", "truth", "certify", "mutants", "dumps")


def run(arguments: argparse.Namespace, folder: Path) -> bool:
    good, more = True, []
    parts = arguments.parts or PARTS
    if "corpus" in parts:
        good &= report("corpus", list(corpus()))
    if "truth" in parts:
        good &= report(
            "claims of known truth", list(known_claims(folder / "truth", arguments.formulas, arguments.seed))
        )
    if "certify" in parts or "mutants" in parts:
        more = list(certify(folder / "certify", arguments.each, arguments.seed))
        for path in more:
            print(f"  {path.parent.name}: {evidence_of(path)}")
        good &= report("certify", [p for path in more for p in compare(path.parent.name, path)])
        good &= report(
            "certify, false",
            [p for path in more for p in narrowed(path, folder / "narrowed", arguments.seed)],
        )
    if "mutants" in parts:
        found = list(mutants(arguments.mutants, arguments.seed, folder / "mutants", mutant_bases(more)))
        for kind, count in sorted(Counter(kind for kind, _ in found).items()):
            print(f"  {count:6} mutants: {kind}")
        good &= report("mutants", [p for _, some in found for p in some])
    if "dumps" in parts:
        good &= report("dumps", list(dumps(arguments.seconds, folder)))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (all when none is given)")
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--formulas", type=int, default=200, help="random formulas evaluated at points")
    parser.add_argument("--each", type=int, default=1, help="proofs of each family of networks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=int, default=120, help="CPU seconds of the reference checker for one dump"
    )
    parser.add_argument("--keep", type=Path, help="a folder for what is made, kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        return 0 if run(arguments, arguments.keep or Path(made)) else 1


if __name__ == "__main__":
    sys.exit(main())
