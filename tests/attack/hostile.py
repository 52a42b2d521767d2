"""Hostile input, case by case: what a folder or file looks like that must end in one clear line.

Each case is a name and a function that writes it under a folder and returns the path to check. Groups: ``dump_cases``
(manifest, arrays), ``model_cases``, ``property_cases``, ``bundle_cases``, ``place_cases`` (what the path itself is).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.attack import seeds
from tests.attack.seeds import Dump

Array = NDArray[Any]
Case = tuple[str, Callable[[Path], Path]]
MIB = 1 << 20


def all_cases() -> list[Case]:
    return [
        *dump_cases(),
        *json_cases(),
        *array_cases(),
        *npz_cases(),
        *model_cases(),
        *property_cases(),
        *bundle_cases(),
        *place_cases(),
    ]


def dump(
    change: Callable[[Dump], Any], folder: Path, *, kind: str = "activation", rehash: bool = False
) -> Path:
    """The tiny dump after ``change``, written."""
    d = seeds.tiny_dump(kind)
    change(d)
    if rehash:
        d.rehash()
    return d.write(folder / "dump")


def edited(name: str, change: Callable[[Dump], Any], **options: Any) -> Case:
    return name, partial(dump, change, **options)


# the manifest and the files beside it


def dump_cases() -> Iterator[Case]:
    for field in seeds.tiny_dump().manifest:
        if field not in ("wall_time_s", "verifier"):
            yield edited(f"no {field}", lambda d, f=field: d.manifest.pop(f))
    values: dict[str, list[Any]] = {
        "format": ["", "abcrown", None, 1, [], {}],
        "version": [0, 2, -1, 1.5, "1", None, 2**70],
        "kind": ["", "activations", "cuts", None, 3],
        "num_leaves": [-1, 10**12, 2**63, "4", 4.5, None, 0, 3, 5, []],
        "onnx_sha256": ["", "0" * 64, "g" * 64, None, 5, "0" * 10**5],
        "vnnlib_sha256": ["", "0" * 64, None],
        "network": [
            None,
            [],
            {},
            {"relus": None},
            {"relus": [{"n": -1, "relu_onnx": "a1"}]},
            {"relus": [{"relu_onnx": "a1"}]},
        ],
        "arrays": [None, [], {}, {"tree": 5}, {"tree": {"shape": "x", "dtype": "int32"}}],
        "wall_time_s": ["fast", None, [1]],
        "verifier": [None, "x", {"commit": 5}],
    }
    for field, bad in values.items():
        for k, value in enumerate(bad):
            if field == "arrays" and value == {}:
                continue  # without declared arrays optional ones are left out: a proof with less evidence
            if field == "network" and value == {}:
                continue
            yield edited(f"{field} {k}", lambda d, f=field, v=value: d.manifest.update({f: v}))
    for field in ("onnx_file", "vnnlib_file"):
        names: list[Any] = [
            "../net.onnx",
            "/etc/passwd",
            "a/../net.onnx",
            "..",
            ".",
            "",
            "no-such",
            "net.onnx\0",
            "C:\\x",
            "sub/net.onnx",
            None,
            7,
            "x" * 300,
        ]
        for k, name in enumerate(names):
            yield edited(f"{field} {k}", lambda d, f=field, v=name: d.manifest.update({f: v}))
    for k, tensor in enumerate(
        ("nothing", "x", "z1", "w0", "", "\ud800".encode("utf-8", "surrogatepass").hex())
    ):
        yield edited(
            f"activation {k}", lambda d, t=tensor: d.manifest["network"]["relus"][0].update(relu_onnx=t)
        )
    for k, n in enumerate((0, 3, 5, 10**9, -4)):
        yield edited(f"layer size {k}", lambda d, v=n: d.manifest["network"]["relus"][0].update(n=v))
    yield edited("layers swapped", lambda d: d.manifest["network"]["relus"].reverse())
    for name in ("net.onnx", "p.vnnlib"):
        yield edited(f"{name} missing", lambda d, n=name: d.files.pop(n))
        yield edited(f"{name} with one more byte", lambda d, n=name: d.files.update({n: d.files[n] + b"\n"}))
        yield edited(f"{name} empty", lambda d, n=name: d.files.update({n: b""}))
    yield edited(
        "model and property swapped",
        lambda d: d.manifest.update(onnx_sha256=d.manifest["vnnlib_sha256"], onnx_file="p.vnnlib"),
    )
    for name in ("net.onnx", "arrays.npz", "p.vnnlib", "certificate.json"):
        yield f"{name} is a folder", partial(_replaced, name=name, how=Path.mkdir)
        if os.name == "posix":
            yield f"{name} is a pipe", partial(_replaced, name=name, how=os.mkfifo)
            yield f"{name} is a link out", partial(_linked, name=name, target="../outside")
            yield f"{name} is a link to itself", partial(_linked, name=name, target=name)
            yield f"{name} is a link to /dev/zero", partial(_linked, name=name, target="/dev/zero")
    yield "arrays.npz missing", partial(_replaced, name="arrays.npz", how=lambda p: None)


def _replaced(folder: Path, *, name: str, how: Callable[[Path], Any]) -> Path:
    path = seeds.tiny_dump().write(folder / "dump")
    (path / name).unlink()
    how(path / name)
    return path


def _linked(folder: Path, *, name: str, target: str) -> Path:
    """A link that leads nowhere, to itself, to what never ends, or (models, properties) outside the folder."""
    path = seeds.tiny_dump().write(folder / "dump")
    content = (path / name).read_bytes()
    if name in ("net.onnx", "p.vnnlib"):
        (folder / "outside").write_bytes(content)
    (path / name).unlink()
    os.symlink(target, path / name)
    return path


# JSON as text


def json_cases() -> Iterator[Case]:
    good = json.dumps(seeds.tiny_dump().manifest).encode()
    head = good[:-1]
    texts = {
        "empty": b"",
        "blank": b" \n",
        "NUL": b"\0" * 100,
        "binary": bytes(range(256)),
        "truncated": good[: len(good) // 2],
        "without its end": good[:-1],
        "twice": good + good,
        "with a tail": good + b" x",
        "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "Latin-1": good.replace(b"relus", b"rel\xfcs"),
        "a list": b"[" + good + b"]",
        "a number": b"1",
        "a string": b'"abcrown-dump"',
        "null": b"null",
        "duplicate key": head + b', "kind": "activation"}',
        "duplicate key inside": good.replace(b'"n": 4', b'"n": 4, "n": 4'),
        "NaN": head + b', "x": NaN}',
        "Infinity": head + b', "x": -Infinity}',
        "1e999": good.replace(b'"wall_time_s": 0.5', b'"wall_time_s": 1e999'),
        "integer of 5000 digits": good.replace(b'"num_leaves": 4', b'"num_leaves": ' + b"9" * 5000),
        "unknown integer of 5000 digits": head + b', "x": ' + b"9" * 5000 + b"}",
        "deep lists": head + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep objects": head + b', "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        "deep and open": b"[" * 1_000_000,
        "comment": b"// x\n" + good,
        "trailing comma": head + b",}",
        "single quotes": good.replace(b'"', b"'"),
        "bad escape": head + b', "x": "\\q"}',
        "lone surrogate name": good.replace(b'"a1"', b'"\\ud800"'),
        "string that never ends": head + b', "x": "' + b"a" * 100_000,
        "control character in a string": head + b', "x": "\x01"}',
    }
    for name, text in texts.items():
        yield edited(f"JSON: {name}", lambda d, t=text: setattr(d, "text", t))


# arrays


def array_cases() -> Iterator[Case]:
    for kind in seeds.KINDS:
        for name in seeds.tiny_dump(kind).arrays:
            if name not in UNUSED:
                yield edited(f"{kind}: {name} missing", lambda d, n=name: d.arrays.pop(n), kind=kind)
    changes: dict[str, Callable[[Array], Array]] = {
        "strings": lambda a: a.astype("U4"),
        "objects": lambda a: a.astype(object),
        "complex": lambda a: a.astype(np.complex128),
        "one axis more": lambda a: a[None],
        "flat": lambda a: np.float32(1.0),
        "too long": lambda a: np.concatenate([a, a, a]),
    }
    for name in ("leaf_or", "leaf_alpha/0", "tree", "split_ptr", "spec_C", "ialpha/0/1"):
        for what, change in changes.items():
            if (name, what) != ("tree", "too long"):
                yield edited(
                    f"{name} {what}", lambda d, n=name, c=change: d.arrays.update({n: c(d.arrays[n])})
                )
    for name in ("leaf_alpha/0", "split_beta", "split_point", "leaf_lb", "spec_C", "ialpha/0/1"):
        for value in (np.nan, np.inf):
            yield entry(name, value)
    yield entry("tree_cut", np.nan, kind="input-box")
    for name, value in {
        "leaf_or": 2, "leaf_row": 1, "split_ptr": -1, "split_layer": 2, "split_neuron": 4, "split_sign": 0,
        "split_beta": -1.0, "tree_root": 6, "alpha_cols/0": 4, "ialpha_row/0/1": 2, "split_point": 1.0,
    }.items():  # fmt: skip
        if name not in (
            "split_neuron",
            "split_sign",
        ):  # a multiplier on a split that the path does not make is not used
            yield entry(name, value)
    yield entry("split_ptr", 2**31 - 1, at=-1)
    yield entry("leaf_or", -1)
    yield entry("tree_root", -1)
    for column, value in ((1, 7), (2, 9), (3, 99), (4, -1), (5, 6), (5, 2**31 - 1), (2, -1)):
        yield edited(f"tree column {column} = {value}", partial(_tree, row=0, column=column, value=value))
    yield edited("tree with a cycle to the root", partial(_tree, row=2, column=4, value=0))
    yield edited("tree row that is its own child", partial(_tree, row=0, column=5, value=0))
    yield edited("tree leaf without evidence", partial(_tree, row=1, column=4, value=4))
    yield edited("tree empty", lambda d: d.arrays.update(tree=np.zeros((0, 6), np.int32)))
    yield edited("spec of another property", lambda d: d.arrays.update(spec_C=d.arrays["spec_C"] * 2))
    yield edited(
        "wrong model", lambda d: d.files.update({"net.onnx": seeds.model_bytes("Tanh")}), kind="input-box"
    )
    yield edited(
        "bits of another type",
        lambda d: d.arrays.update({"leaf_slope_bits/0": d.arrays["leaf_slope_bits/0"].astype(np.int64)}),
        kind="input-box",
    )
    yield edited("disjunct without a leaf", lambda d: d.arrays.update(leaf_or=seeds.i32(0, 0)), kind="lines")


UNUSED = (
    "spec_box",
    "box_lo",
    "box_hi",
    "leaf_at_root",
    "leaf_depth",
    "line_lb/0",
    "line_lb/1",
    "line_ub/0",
    "line_ub/1",
)
"""Arrays that nothing is read from."""


def entry(name: str, value: float, *, at: int = 0, kind: str = "activation") -> Case:
    def change(d: Dump) -> None:
        array = d.arrays[name].copy()
        array.reshape(-1)[at] = value
        d.arrays[name] = array

    return edited(f"{name}[{at}] = {value}", change, kind=kind)


def _tree(d: Dump, row: int, column: int, value: int) -> None:
    tree = d.arrays["tree"].copy()
    tree[row, column] = value
    d.arrays["tree"] = tree


# the .npz as a file


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin-1")
    size = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


@cache
def zeros(size: int, header: str, method: int) -> bytes:
    """An .npz whose only member is that header and ``size`` zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        packed.writestr("leaf_or.npy", npy(header) + bytes(size))
    return buffer.getvalue()


def with_member(d: Dump, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for key, array in d.arrays.items():
            if key != name:
                data = io.BytesIO()
                np.save(data, array)
                packed.writestr(f"{key}.npy", data.getvalue())
        packed.writestr(f"{name}.npy", content)
    d.npz = buffer.getvalue()


def npz_cases() -> Iterator[Case]:
    good = seeds.npz_bytes(seeds.tiny_dump().arrays)
    files = {
        "empty": b"",
        "text": b"not a zip",
        "truncated": good[: len(good) // 2],
        "without its end": good[:-22],
        "with zeros before": b"\0" * 64 + good[:-30],
        "an .npy": npy("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 4),
        "an empty zip": _zip({}),
        "names twice": _zip_twice(good),
        "half zeros": good[: len(good) // 4] + b"\0" * (len(good) // 2) + good[3 * len(good) // 4 :],
        "too many members": _zip({f"m{k}.npy": b"" for k in range(10_500)}),
        "lies about its size": _lying(good),
    }
    for name, content in files.items():
        yield edited(f"npz: {name}", lambda d, c=content: setattr(d, "npz", c))
    headers = {
        "huge shape": "{'descr': '<i4', 'fortran_order': False, 'shape': (1099511627776, 6), }",
        "negative shape": "{'descr': '<i4', 'fortran_order': False, 'shape': (-1, 6), }",
        "shape that overflows": "{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387904, 6), }",
        "shape of 30 digits": "{'descr': '<i4', 'fortran_order': False, 'shape': (" + "9" * 30 + ", 6), }",
        "negative and huge": "{'descr': '<i8', 'fortran_order': False, 'shape': (-9223372036854775808, 6), }",
        "boolean shape": "{'descr': '<i4', 'fortran_order': False, 'shape': (True, 6), }",
        "float shape": "{'descr': '<i4', 'fortran_order': False, 'shape': (6.0, 6), }",
        "no dictionary": "[1, 2, 3]",
        "other keys": "{'descr': '<i4', 'shape': (6, 6)}",
        "expression": "__import__('os').getcwd()",
        "object type": "{'descr': '|O', 'fortran_order': False, 'shape': (6, 6), }",
        "structured type": "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (6, 6), }",
        "void type": "{'descr': '|V99999999', 'fortran_order': False, 'shape': (6, 6), }",
        "empty type": "{'descr': '|S0', 'fortran_order': False, 'shape': (6, 6), }",
        "unknown type": "{'descr': '<q77', 'fortran_order': False, 'shape': (6, 6), }",
        "type of a tuple": "{'descr': ('<i4', (2,)), 'fortran_order': False, 'shape': (6, 6), }",
        "subarray of huge shape": "{'descr': ('<i4', (2147483647,)), 'fortran_order': False, 'shape': (6, 6), }",
        "deep brackets": "(" * 4000,
        "deep signs": "{'descr': " + "-" * 8000 + "1}",
        "deep lists": "[" * 150 + "]" * 150,
        "deep operators": "{'descr': " + "1+" * 4000 + "1}",
        "not text": "\x00\xff" * 20,
        "header too long": "{" + " " * 60_000 + "}",
    }
    for name, header in headers.items():
        yield edited(f"npy: {name}", lambda d, h=header: with_member(d, "tree", npy(h + "\n", bytes(144))))
    for version in (2, 3, 9):
        yield edited(
            f"npy: version {version}, broken", lambda d, v=version: with_member(d, "tree", npy("{", b"", v))
        )
    shaped = "{'descr': '<i4', 'fortran_order': False, 'shape': (6, 6), }\n"
    yield edited("npy: too little data", lambda d: with_member(d, "tree", npy(shaped, b"\0" * 100)))
    yield edited("npy: too much data", lambda d: with_member(d, "tree", npy(shaped, b"\0" * 1000)))
    yield edited("npy: only its magic", lambda d: with_member(d, "tree", b"\x93NUMPY"))
    yield edited("npy: nothing", lambda d: with_member(d, "tree", b""))
    yield edited(
        "npy: header size beyond the file",
        lambda d: with_member(d, "tree", b"\x93NUMPY\x02\0\xff\xff\xff\x7f{"),
    )
    header = "{'descr': '<i4', 'fortran_order': False, 'shape': (%s,), }\n"
    for name, shape, method in (
        ("bomb", "134217728", zipfile.ZIP_DEFLATED),
        ("bomb with a negative shape", "-1", zipfile.ZIP_DEFLATED),
        ("bzip2 bomb", "134217728", zipfile.ZIP_BZIP2),
    ):
        yield edited(
            f"npz: {name}",
            lambda d, s=shape, m=method: [
                setattr(d, "npz", zeros(512 * MIB, header % s, m)), d.manifest.update(num_leaves=1 << 25)
            ],
        )  # fmt: skip
    yield edited(
        "npz: pickle in an .npy",
        lambda d: with_member(
            d,
            "tree",
            npy(
                "{'descr': '|O', 'fortran_order': False, 'shape': (1, 6), }\n", b"cos\nsystem\n(S'true'\ntR."
            ),
        ),
    )


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def _zip_twice(good: bytes) -> bytes:
    import warnings

    buffer = io.BytesIO(good)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "a") as packed:
            packed.writestr("tree.npy", b"x")
    return buffer.getvalue()


def _lying(good: bytes) -> bytes:
    """The central directory says that a member unpacks to 4 GB."""
    data = bytearray(good)
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFFE)
    return bytes(data)


# models: the hash is made to fit


def model_case(name: str, data: bytes | Callable[[], bytes]) -> Case:
    def change(d: Dump) -> None:
        d.files["net.onnx"] = data() if callable(data) else data

    return _fitted(f"model: {name}", change, "onnx")


def _fitted(name: str, change: Callable[[Dump], None], kind: str) -> Case:
    """The manifest's hash is of the unpacked content where that can be had, so that binding is not what fails."""

    def write(folder: Path) -> Path:
        d = seeds.tiny_dump()
        change(d)
        data = d.files[d.manifest[f"{kind}_file"]]
        d.manifest[f"{kind}_sha256"] = _fitting(data)
        return d.write(folder / "dump")

    return name, write


@cache
def _fitting(data: bytes) -> str:
    """The SHA-256 of a file's content, unpacked where that can be had."""
    if data[:2] == b"\x1f\x8b" and len(data) < MIB // 2:
        with contextlib.suppress(EOFError, OSError, zlib.error):
            data = gzip.decompress(data)
    return sha256(data).hexdigest()


def onnx_model(change: Callable[[Any], Any]) -> Callable[[], bytes]:
    """The tiny model after ``change`` of its protobuf."""

    def make() -> bytes:
        import onnx

        model = onnx.load_from_string(seeds.model_bytes())
        change(model)
        data: bytes = model.SerializeToString()
        return data

    return make


@cache
def bomb(size: int) -> bytes:
    """gzip of that many zeros: one packed block, again and again."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(16 * MIB)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    crc, count = 0, size // len(block)
    for _ in range(count):
        crc = zlib.crc32(block, crc)
    head = b"\x1f\x8b\x08\0\0\0\0\0\2\xff"
    return head + packed * count + packer.flush() + struct.pack("<II", crc, count * len(block))


def model_cases() -> Iterator[Case]:
    good = seeds.model_bytes()
    packed = gzip.compress(good)
    for name, data in {
        "empty": b"",
        "text": b"hello",
        "zeros": b"\0" * 1000,
        "binary": bytes(range(256)) * 4,
        "truncated": good[: len(good) // 2],
        "last byte missing": good[:-1],
        "repeated field": good + good,
        "truncated gzip": packed[:-5],
        "gzip with a tail": packed + b"x",
        "gzip with a wrong CRC": packed[:-8] + bytes(4) + packed[-4:],
        "gzip header only": packed[:10],
        "gzip of nothing": gzip.compress(b""),
        "gzip in gzip": gzip.compress(packed),
        "deep protobuf": _deep_protobuf(),
    }.items():
        yield model_case(name, data)
    yield model_case("gzip bomb", lambda: bomb(512 * MIB))
    changes: dict[str, Callable[[Any], Any]] = {
        "no graph": lambda m: m.ClearField("graph"),
        "no opset": lambda m: m.ClearField("opset_import"),
        "opset 0": lambda m: setattr(m.opset_import[0], "version", 0),
        "opset 999": lambda m: setattr(m.opset_import[0], "version", 999),
        "two opsets": lambda m: m.opset_import.add(domain="", version=12),
        "cycle": lambda m: m.graph.node[0].input.__setitem__(0, "a2"),
        "node that reads itself": lambda m: m.graph.node[1].input.__setitem__(0, "a1"),
        "nodes out of order": lambda m: _reversed_nodes(m),
        "undefined tensor": lambda m: m.graph.node[0].input.__setitem__(1, "nothing"),
        "tensor defined twice": lambda m: m.graph.node[1].output.__setitem__(0, "z1"),
        "unknown operator": lambda m: setattr(m.graph.node[1], "op_type", "Frobnicate"),
        "operator of another domain": lambda m: setattr(m.graph.node[1], "domain", "com.example"),
        "operator not supported": lambda m: setattr(m.graph.node[1], "op_type", "Det"),
        "name of an operator of 10^6 characters": lambda m: setattr(m.graph.node[1], "op_type", "R" * 10**6),
        "newlines in a name": lambda m: setattr(m.graph.node[1], "op_type", "Relu\nCERTIFIED"),
        "terminal codes in a name": lambda m: setattr(m.graph.node[1], "op_type", "\x1b[2J\x1b]0;x\x07"),
        "operator without name": lambda m: setattr(m.graph.node[1], "op_type", ""),
        "NaN weight": lambda m: _raw(m, "w0", np.full((2, 4), np.nan, np.float32)),
        "infinite bias": lambda m: _raw(m, "b2", np.full(2, np.inf, np.float32)),
        "weight of another shape": lambda m: _raw(m, "w0", np.ones((4, 2), np.float32)),
        "huge dimensions": lambda m: m.graph.initializer[0].dims.extend([10**9, 10**9]),
        "dimension of 2^63 - 1": lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**63 - 1),
        "negative dimension": lambda m: m.graph.initializer[0].dims.__setitem__(0, -2),
        "forty axes": lambda m: m.graph.initializer[0].dims.extend([1] * 40),
        "too little data": lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 4),
        "too much data": lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 4000),
        "string weights": lambda m: setattr(m.graph.initializer[0], "data_type", 8),
        "weights of no type": lambda m: setattr(m.graph.initializer[0], "data_type", 0),
        "weights of type 99": lambda m: setattr(m.graph.initializer[0], "data_type", 99),
        "double weights in a float network": lambda m: _raw(m, "w0", np.ones((2, 4))),
        "external data outside": lambda m: _external(m, location="../outside.bin", length="32"),
        "external data by absolute path": lambda m: _external(m, location="/etc/passwd"),
        "external data missing": lambda m: _external(m, location="w.bin"),
        "external data without place": lambda m: _external(m),
        "external data of negative offset": lambda m: _external(m, location="net.onnx", offset="-1"),
        "external data beyond the end": lambda m: _external(m, location="net.onnx", offset="999999999"),
        "external data in this folder": lambda m: _external(m, location="p.vnnlib", length="32"),
        "no input": lambda m: m.graph.ClearField("input"),
        "no output": lambda m: m.graph.ClearField("output"),
        "output that nothing makes": lambda m: setattr(m.graph.output[0], "name", "nowhere"),
        "huge input": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 2**40),
        "negative input": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", -2),
        "input of no size": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 0),
        "symbolic width": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_param", "n"),
        "integer input": lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7),
        "input of another width": lambda m: setattr(
            m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 3
        ),
        "two inputs of one name": lambda m: m.graph.input.append(m.graph.input[0]),
        "attribute not known": lambda m: m.graph.node[0].attribute.add(name="zeta", i=1, type=2),
        "attribute of another type": lambda m: m.graph.node[0].attribute.add(name="alpha", s=b"x", type=3),
        "attribute NaN": lambda m: m.graph.node[0].attribute.add(name="alpha", f=float("nan"), type=1),
        "attribute twice": lambda m: [
            m.graph.node[0].attribute.add(name="transA", i=0, type=2) for _ in range(2)
        ],
        "Gemm transposed": lambda m: m.graph.node[0].attribute.add(name="transB", i=1, type=2),
        "too many operands": lambda m: m.graph.node[1].input.extend(["x"] * 5),
        "no operand": lambda m: m.graph.node[1].ClearField("input"),
        "no result": lambda m: m.graph.node[1].ClearField("output"),
        "local function": lambda m: m.functions.add(name="f", domain="ai.onnx"),
        "sparse weights": lambda m: m.graph.sparse_initializer.add(),
        "300,000 nodes": lambda m: m.graph.node.extend([m.graph.node[1]] * 300_000),
        "reshape to 2^40": lambda m: _expand(m, [2**20, 2**20]),
        "expand to 2^40": lambda m: _expand(m, [2**40, 2], "Expand"),
        "constant of shape 2^40": lambda m: _expand(m, [2**40], "ConstantOfShape"),
        "range of 2^60": lambda m: _range(m),
        "padding of 2^40": lambda m: _expand(m, [0, 2**40, 0, 2**40], "Pad"),
        "tile 2^40 times": lambda m: _expand(m, [1, 2**40], "Tile"),
        "negative padding": lambda m: _expand(m, [0, -9, 0, 0], "Pad"),
    }
    for name, change in changes.items():
        yield model_case(name, onnx_model(change))


def _deep_protobuf() -> bytes:
    """Graphs in attributes of nodes in graphs ..., beyond protobuf's recursion limit."""
    inner = b""
    for _ in range(400):
        for tag in (0x32, 0x2A, 0x0A):  # attribute.g, node.attribute, graph.node
            inner = bytes([tag]) + _varint(len(inner)) + inner
    return b"\x3a" + _varint(len(inner)) + inner


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _reversed_nodes(m: Any) -> None:
    nodes = list(m.graph.node)[::-1]
    m.graph.ClearField("node")
    m.graph.node.extend(nodes)


def _raw(m: Any, name: str, array: Array) -> None:
    from onnx import numpy_helper

    for tensor in m.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))


def _external(m: Any, **entries: str) -> None:
    tensor = m.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def _expand(m: Any, shape: list[int], operator: str = "Reshape") -> None:
    """The last value goes through an operator with a hostile constant."""
    from onnx import helper, numpy_helper

    m.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
    inputs = ["shape"] if operator == "ConstantOfShape" else ["y", "shape"]
    m.graph.node.append(helper.make_node(operator, inputs, ["last"]))
    m.graph.output[0].name = "last"


def _range(m: Any) -> None:
    from onnx import helper, numpy_helper

    for name, value in (("from", 0), ("to", 2**60), ("by", 1)):
        m.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    m.graph.node.append(helper.make_node("Range", ["from", "to", "by"], ["r"]))
    m.graph.node.append(helper.make_node("Cast", ["r"], ["last"], to=1))
    m.graph.output[0].name = "last"


# properties: the hash is made to fit


def property_case(name: str, data: bytes | Callable[[], bytes]) -> Case:
    def change(d: Dump) -> None:
        d.files["p.vnnlib"] = data() if callable(data) else data

    return _fitted(f"property: {name}", change, "vnnlib")


def property_cases() -> Iterator[Case]:
    good = seeds.PROPERTY
    two = seeds.PROPERTY2
    packed = gzip.compress(good)
    texts = {
        "empty": b"",
        "blank": b"\n\n",
        "comment alone": b"; nothing",
        "binary": bytes(range(256)),
        "NUL": good + b"\0",
        "not UTF-8": b"; \xff\n" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "lone carriage return": good.replace(b"\n", b"\r"),
        "truncated": good[:-4],
        "one bracket more": good + b")",
        "JSON": b'{"x": 1}',
        "deep": good + b"(assert " + b"(and " * 100_000 + b")" * 100_000 + b")",
        "deep terms": good + b"(assert (<= " + b"(+ " * 5000 + b"X_0" + b")" * 5000 + b" 1))",
        "open brackets": b"(" * 1_000_000,
        "undeclared": good + b"(assert (<= Y_2 0))",
        "declared twice": good + b"(declare-const X_0 Real)",
        "gap": good + b"(declare-const X_5 Real)",
        "too many inputs": good + b"(declare-const X_2 Real)",
        "too few outputs": good.replace(b"(declare-const Y_1 Real)", b"").replace(b"Y_1", b"Y_0"),
        "integer variable": good.replace(b"X_0 Real", b"X_0 Int"),
        "no lower bound": good.replace(b"(assert (>= X_0 -0.7))", b""),
        "no upper bound": good.replace(b"(assert (<= X_1 0.9))", b""),
        "no bounds": good.replace(b"(assert (", b"; (assert ("),
        "NaN": good.replace(b"-0.7", b"nan"),
        "infinity": good.replace(b"-0.7", b"-inf"),
        "hexadecimal": good.replace(b"-0.7", b"-0x1"),
        "underscore": good.replace(b"-0.7", b"-1_0"),
        "comma": good.replace(b"-0.7", b"-0,7"),
        "fullwidth digits": good.replace(b"-0.7", "-１".encode()),
        "two signs": good.replace(b"-0.7", b"--0.7"),
        "million digits": good.replace(b"-0.7", b"-0." + b"7" * 1_000_000),
        "million digits before the point": good.replace(b"-0.7", b"-" + b"7" * 1_000_000),
        "exponent 999999999": good.replace(b"-0.7", b"-1e999999999"),
        "exponent -999999999": good.replace(b"-0.7", b"-1e-999999999"),
        "exponent of a million digits": good.replace(b"-0.7", b"-1e" + b"9" * 1_000_000),
        "product of variables": good + b"(assert (<= (* X_0 Y_0) 1))",
        "division": good + b"(assert (<= (/ Y_0 2) 1))",
        "not": good + b"(assert (not (<= Y_0 2)))",
        "let": good + b"(assert (let ((a 1)) (<= Y_0 a)))",
        "quantifier": good + b"(assert (forall ((a Real)) (<= Y_0 a)))",
        "check-sat": good + b"(check-sat)",
        "unknown command": good + b"(frobnicate)",
        "and of nothing": good + b"(assert (and))",
        "three terms": good + b"(assert (<= 0 Y_0 1))",
        "term for a formula": good + b"(assert Y_0)",
        "too many disjuncts": good + b"(assert (or (<= Y_0 1) (<= Y_1 1)))" * 30,
        "another property": good.replace(b"(<= Y_0 -9.1)", b"(<= Y_1 -9.1)"),
        "one disjunct more": good.replace(b"(or ", b"(or (and (<= Y_0 -99)) "),
        "coefficient of 10^400": good.replace(b"(<= Y_0 -9.1)", b"(<= (* 1e400 Y_0) -9.1)"),
        "coefficient of 10^4000": good.replace(b"(<= Y_0 -9.1)", b"(<= (* -1e4000 Y_0) 1e4000)"),
        "version 3": two.replace(b"2.0", b"3.0"),
        "2.0, integers": two.replace(b"float32", b"int32"),
        "2.0, truncated": two[:-3],
        "2.0, no network": b"(vnnlib-version <2.0>)\n",
        "2.0, two networks": two.replace(
            b"(assert (and",
            b"(declare-network M (declare-input A float32 [1]) (declare-output B float32 [1]))\n(assert (and",
            1,
        ),
        "2.0, index beyond": two.replace(b"X[0,1]", b"X[0,7]"),
        "2.0, negative index": two.replace(b"X[0,1]", b"X[0,-1]"),
        "2.0, index of 20 digits": two.replace(b"X[0,1]", b"X[0," + b"9" * 20 + b"]"),
        "2.0, huge shape": two.replace(b"[1, 2]", b"[999999999, 999999999]"),
        "2.0, no size": two.replace(b"[1, 2]", b"[0, 2]"),
        "2.0, deep": two + b"(assert " + b"(and " * 100_000 + b")" * 100_000 + b")",
        "2.0, undeclared": two.replace(b"Y[0,1]", b"Z[0,1]"),
        "2.0, million digits": two.replace(b"-0.7", b"-0." + b"7" * 1_000_000),
        "2.0, exponent": two.replace(b"-0.7", b"-1e999999999"),
        "2.0, a tail": two + b"garbage",
        "2.0, string": two + b'(assert "x)',
        "truncated gzip": packed[: len(packed) // 2],
        "gzip with a wrong CRC": packed[:-8] + bytes(4) + packed[-4:],
    }
    for name, text in texts.items():
        yield property_case(name, text)
    yield property_case("gzip bomb", lambda: bomb(512 * MIB))
    yield property_case("gzip bomb of brackets", lambda: gzip.compress(b"(" * (128 * MIB), 1))


# bundles


def bundle_cases() -> Iterator[Case]:
    for name, change in {
        "empty": lambda data: b"",
        "text": lambda data: b"hello",
        "truncated": lambda data: data[: len(data) // 2],
        "last byte missing": lambda data: data[:-1],
        "with a tail": lambda data: data + b"x",
        "with a head": lambda data: b"x" + data,
        "one byte in the middle": lambda data: (
            data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]
        ),
        "an empty zip": lambda data: _zip({}),
        "no manifest": lambda data: _zip({"a": b"x"}),
        "path escape": lambda data: _zip({"../x": b"x", "manifest.json": b"{}"}),
        "absolute path": lambda data: _zip({"/absolute/x": b"x", "manifest.json": b"{}"}),
        "empty manifest": lambda data: _zip({"manifest.json": b""}),
        "deep manifest": lambda data: _zip({"manifest.json": b"[" * 100_000}),
        "manifest that is a list": lambda data: _zip({"manifest.json": b"[]"}),
        "10,500 members": lambda data: _zip({f"m{k}": b"" for k in range(10_500)}),
        "names twice": _zip_twice,
        "lies about a size": _lying,
    }.items():
        yield f"bundle: {name}", partial(_bundle, change=change)
    for name in ("manifest.json", "net.onnx", "p.vnnlib", "arrays.safetensors"):
        yield f"bundle folder: {name} missing", partial(_bundle_folder, name=name, change=None)
        yield f"bundle folder: {name} empty", partial(_bundle_folder, name=name, change=lambda data: b"")
        yield (
            f"bundle folder: {name} truncated",
            partial(_bundle_folder, name=name, change=lambda data: data[: len(data) // 2]),
        )
        yield (
            f"bundle folder: {name} longer",
            partial(_bundle_folder, name=name, change=lambda data: data + b"\0"),
        )
    headers: dict[str, Callable[[bytes], bytes]] = {
        "header of 2^63 bytes": lambda data: b"\xff" * 8 + data[8:],
        "header of 0 bytes": lambda data: bytes(8) + data[8:],
        "header that is no JSON": lambda data: data[:8] + b"x" * 16 + data[24:],
        "huge shape": lambda data: safetensors({"c0/tree.kind": ("I64", [2**40, 2**40], b"")}),
        "negative shape": lambda data: safetensors({"c0/tree.kind": ("I64", [-1], b"")}),
        "unknown type": lambda data: safetensors({"c0/tree.kind": ("C64", [1], b"\0" * 8)}),
        "no arrays": lambda data: safetensors({}),
    }
    for what, change_arrays in headers.items():
        yield (
            f"bundle folder: arrays, {what}",
            partial(_bundle_folder, name="arrays.safetensors", change=change_arrays, rehash=True),
        )
    yield "bundle: bomb", partial(_bundle, change=lambda data: _bomb_bundle(data))


def safetensors(arrays: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    header, data = {}, b""
    for name, (dtype, shape, content) in arrays.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _bundle(folder: Path, *, change: Callable[[bytes], bytes]) -> Path:
    path = seeds.tiny_bundle(folder / "b.tlcert")
    path.write_bytes(change(path.read_bytes()))
    return path


def _bundle_folder(
    folder: Path, *, name: str, change: Callable[[bytes], bytes] | None, rehash: bool = False
) -> Path:
    path = seeds.tiny_bundle(folder / "b.tlcert", as_zip=False)
    if change is None:
        (path / name).unlink()
        return path
    data = change((path / name).read_bytes())
    (path / name).write_bytes(data)
    if rehash:
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["files"][name] = {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
        (path / "manifest.json").write_text(json.dumps(manifest))
    return path


@cache
def _bomb_bundle(good: bytes) -> bytes:
    """A listed file that unpacks to 256 MiB of zeros; its hash and length are right."""
    with zipfile.ZipFile(io.BytesIO(good)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    manifest = json.loads(files["manifest.json"])
    content = bytes(256 * MIB)
    manifest["files"]["bomb"] = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    files |= {"manifest.json": json.dumps(manifest).encode(), "bomb": content}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()


# the path itself


def place_cases() -> Iterator[Case]:
    def file(name: str, data: bytes) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            (folder / name).write_bytes(data)
            return folder / name

        return write

    yield "a file of no format", file("x.bin", b"\0" * 10)
    yield "a file with a newline in its name", file("a\nb.bin", b"")
    yield "an .onnx file", file("net.onnx", seeds.model_bytes())
    yield "a .vnnlib file", file("p.vnnlib", seeds.PROPERTY)
    yield "a bundle that is one byte", file("b.tlcert", b"P")
    yield "a path that is not there", lambda folder: folder / "nothing"
    yield "a bundle that is not there", lambda folder: folder / "nothing.tlcert"
    yield "a path below a file", lambda folder: file("x.bin", b"")(folder) / "b.tlcert"
    yield "a path that is too long", lambda folder: folder / ("x" * 5000)
    if os.name == "posix":
        yield "a bundle that is a pipe", lambda folder: _pipe(folder / "b.tlcert")
        yield "a bundle that is a link to itself", lambda folder: _loop(folder / "b.tlcert")


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    os.symlink(path.name, path)
    return path
