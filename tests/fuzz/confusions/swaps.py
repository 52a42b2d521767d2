"""The confusions of a bundle: any two values or keys of the manifest, files, tensors, names and numbers change places.

Each takes a manifest and its files and changes them; hashes follow the files, or do not.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import onnx

from tests.fuzz.confusions.made import Files

Swap = Callable[[dict[str, Any], Files, random.Random], None]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(value[key])


def values(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Two values, of one type nearly always."""
    places = list(_places(manifest))
    a, k = rng.choice(places)
    alike = [(b, j) for b, j in places if type(b[j]) is type(a[k])] if rng.random() < 0.9 else places
    b, j = rng.choice(alike)
    a[k], b[j] = json.loads(json.dumps(b[j])), json.loads(json.dumps(a[k]))


def keys(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Two keys of one object, or a key becomes that of another object."""
    objects = [v for v in [manifest, *(h[k] for h, k in _places(manifest))] if isinstance(v, dict) and v]
    a = rng.choice(objects)
    one, other = rng.choice(list(a)), rng.choice(list(rng.choice(objects)))
    if other in a:
        a[one], a[other] = a[other], a[one]
    else:
        a[other] = a.pop(one)


def roles(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """A claim names another file in one of its roles; or two roles, of one claim or two, change files."""
    named = [(c, r) for c in manifest["claims"] for r in ("model", "other", "property") if r in c]
    named += [(c["evidence"], "arrays") for c in manifest["claims"] if "evidence" in c]
    (a, r), (b, s) = rng.choice(named), rng.choice(named)
    if rng.random() < 0.5:
        a[r] = rng.choice(list(files))
    else:
        a[r], b[s] = b[s], a[r]


def claims(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Parts of two claims: evidence, witnesses, kinds, bounds."""
    a, b = rng.choice(manifest["claims"]), rng.choice(manifest["claims"])
    for part in rng.sample(["evidence", "witness", "kind", "within", "other"], rng.choice([1, 1, 2])):
        for c, d in ((a, b.get(part)),) if rng.random() < 0.5 else ((a, b.get(part)), (b, a.get(part))):
            c.pop(part, None)
            if d is not None:
                c[part] = d


def contents(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Two files change contents, and their entries too, or not, or only their hashes."""
    one, other = rng.choice(list(files)), rng.choice(list(files))
    entries = manifest["files"]
    how = rng.randrange(4)
    if how != 1:
        files[one], files[other] = files[other], files[one]
    if how < 2 and one in entries and other in entries:
        entries[one], entries[other] = entries[other], entries[one]
    elif how == 2 and one in entries and other in entries:
        entries[one]["sha256"], entries[other]["sha256"] = entries[other]["sha256"], entries[one]["sha256"]


def _with(manifest: dict[str, Any], files: Files, name: str, data: bytes) -> None:
    files[name] = data
    manifest["files"][name] = {"sha256": sha256(data).hexdigest(), "bytes": len(data)}


def tensors(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Two arrays of the evidence, or their places in the file."""
    name = _some(files, ".safetensors", rng)
    if name is None:
        return
    data = files[name]
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = [k for k in header if k != "__metadata__"]
    if len(names) < 2:
        return
    one, other = rng.sample(names, 2)
    if rng.random() < 0.6:
        header[one], header[other] = header[other], header[one]
    else:
        field = rng.choice(["dtype", "shape", "data_offsets"])
        header[one][field], header[other][field] = header[other][field], header[one][field]
    text = json.dumps(header).encode()
    _with(manifest, files, name, len(text).to_bytes(8, "little") + text + data[8 + size :])


def weights(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Names or contents of two tensors of a network, operands of its nodes, or whole nodes."""
    name = _some(files, ".onnx", rng)
    if name is None:
        return
    model = onnx.load_from_string(files[name])
    graph = model.graph
    one, other = rng.sample(range(len(graph.initializer)), 2)
    a, b = graph.initializer[one], graph.initializer[other]
    match rng.randrange(5):
        case 0:
            a.name, b.name = b.name, a.name
        case 1:
            a.raw_data, b.raw_data = b.raw_data, a.raw_data
        case 2:
            c, d = rng.choice(graph.node), rng.choice(graph.node)
            i, j = rng.randrange(len(c.input)), rng.randrange(len(d.input))
            c.input[i], d.input[j] = d.input[j], c.input[i]
        case 3:
            dims = list(a.dims)
            del a.dims[:]
            a.dims.extend(b.dims)
            del b.dims[:]
            b.dims.extend(dims)
        case _:
            c = rng.choice([n for n in graph.node if n.op_type == "Gemm"])
            c.attribute[0].i = 1 - c.attribute[0].i
    _with(manifest, files, name, model.SerializeToString())


def words(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """Two variables, relations or numbers of a property."""
    name = _some(files, ".vnnlib", rng)
    if name is None:
        return
    text = files[name].decode()
    found = [
        m
        for m in re.finditer(r"[XY]_[0-9]|[XY]\[[0-9,]*\]|[<>]=|-?[0-9]+\.?[0-9]*|and|or|input|output", text)
        if m.start() > 60 or rng.random() < 0.2
    ]
    a = rng.choice(found)
    alike = [m for m in found if _sort(m[0]) == _sort(a[0])] if rng.random() < 0.9 else found
    a, b = sorted((a, rng.choice(alike)), key=lambda m: m.start())
    if a.end() <= b.start():
        text = text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]
        _with(manifest, files, name, text.encode())


def _sort(token: str) -> str:
    return (
        "variable"
        if token[0] in "XY"
        else "relation"
        if token[0] in "<>"
        else "number"
        if token[0] in "-0123456789"
        else "word"
    )


def numbers(manifest: dict[str, Any], files: Files, rng: random.Random) -> None:
    """The witness or the bound of a claim becomes another claim's number, with the sign turned now and then."""
    claim = rng.choice(manifest["claims"])
    value = rng.choice(["1", "-1", "2", "0.5", "-1.25", "2.5", "0", "1/3"])
    if "witness" in claim and isinstance(claim["witness"], list):
        claim["witness"] = rng.choice([[value], [value, value], [], [*claim["witness"], value]])
    if "within" in claim and rng.random() < 0.5:
        claim["within"] = value.lstrip("-")


def _some(files: Files, ending: str, rng: random.Random) -> str | None:
    names = [n for n in files if n.endswith(ending)]
    return rng.choice(names) if names else None


SWAPS: list[Swap] = [
    values,
    values,
    keys,
    keys,
    roles,
    roles,
    roles,
    claims,
    contents,
    contents,
    tensors,
    weights,
    words,
    numbers,
]
