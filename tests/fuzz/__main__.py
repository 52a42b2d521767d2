"""Fuzzing the readers: ``python -m tests.fuzz [--seconds 60] [--seed N] [--out FOLDER]``.

``python -m tests.fuzz operators|formulas|confusions [--seed N] ..`` compares meanings instead: of models with one operator, of
VNN-LIB texts, of bundles, counterexamples and results whose roles are confused. ``kept/`` has an input of every kind that
these have met; ``--grow`` adds to it.

From small valid seeds made here, inputs are mutated as bytes and by structure (JSON trees, S-expressions, protobuf fields,
array headers, members of a zip), given to one reader each, and only InvalidInput may come out. Anything else that is
raised, and any input that takes longer than ``SLOW`` seconds, is a crash: the input is written to FOLDER, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from tests.attack import seeds
from tests.attack.hostile import safetensors
from tlcheck.errors import InvalidInput

OTHERS = ("operators", "formulas", "confusions")
SLOW = 5.0
MAX_SEED = 100_000
"""Inputs are kept below this size, so that one execution takes milliseconds."""

NUMBERS = [
    b"0", b"-0", b"1", b"-1", b"2", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"9223372036854775807",
    b"18446744073709551616", b"1e308", b"1e309", b"-1e400", b"5e-324", b"1e-400", b"0.1", b"1e999999", b"nan", b"inf",
]  # fmt: skip
TOKENS = [
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b",",
    b":",
    b";",
    b"\\",
    b"\n",
    b"\0",
    b"\xff",
    b"<=",
    b"and",
    b"or",
    b"X_0",
]


# Mutation.


def mutated(data: bytes, rng: random.Random, kind: str) -> bytes:
    """One to six changes."""
    changes = [_bytes, _bytes, _number, *STRUCTURED.get(kind, [_bytes])]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        data = rng.choice(changes)(data, rng)
    return data[:MAX_SEED]


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    at = rng.randrange(len(changed) + 1)
    span = rng.choice([1, 2, 4, 8, 30, 200])
    match rng.randrange(8):
        case 0 if changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        case 1 if changed:
            changed[at % len(changed)] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        case 2:
            del changed[at : at + span]
        case 3:
            changed[at:at] = rng.randbytes(span)
        case 4:
            del changed[at:]
        case 5:
            other = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[other : other + span]
        case 6:
            changed[at:at] = rng.choice(TOKENS) * rng.choice([1, 1, 3, 1000])
        case _:
            width = rng.choice([1, 2, 4, 8])
            value = rng.choice(
                [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1, rng.randrange(1000)]
            )
            changed[at : at + width] = (value % (1 << 8 * width)).to_bytes(
                width, rng.choice(["little", "big"])
            )
    return bytes(changed)


_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")


def _number(data: bytes, rng: random.Random) -> bytes:
    """A number in the text becomes a nasty one."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return _bytes(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(NUMBERS) + data[match.end() :]


def _json(data: bytes, rng: random.Random) -> bytes:
    try:
        return _json_tree(data, rng)
    except (ValueError, RecursionError):  # not JSON any more, or too deep for json itself
        return _bytes(data, rng)


def _json_tree(data: bytes, rng: random.Random) -> bytes:
    """A value of the document is replaced, removed, wrapped or copied elsewhere."""
    document = json.loads(data)
    places = list(_places(document))
    if not places:
        return _bytes(data, rng)
    holder, key = rng.choice(places)
    other_holder, other_key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
        case 2:
            for _ in range(rng.choice([1, 70, 300])):
                holder[key] = [holder[key]]
        case 3 if isinstance(holder, dict):
            holder[rng.choice(["", "n", "__class__", "\ud800", str(key) * 2])] = holder[key]
        case _:
            holder[key] = rng.choice(
                [None, True, 0, -1, 2**70, 1e300, "", "../x", "x" * 500, [], {}, [[]], "\ud800"]
            )
    return json.dumps(document, allow_nan=True).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


_EXPRESSION = re.compile(rb"\([^()]*\)")


def _expression(data: bytes, rng: random.Random) -> bytes:
    """A parenthesis is copied, moved, wrapped, or turned into another."""
    found = list(_EXPRESSION.finditer(data))
    if not found:
        return _bytes(data, rng)
    a, b = rng.choice(found), rng.choice(found)
    piece = data[b.start() : b.end()]
    match rng.randrange(5):
        case 0:
            return data[: a.start()] + piece + data[a.end() :]
        case 1:
            return data[: a.end()] + piece + data[a.end() :]
        case 2:
            depth = rng.choice([1, 2, 200, 300])
            head = rng.choice([b"(and ", b"(or ", b"(+ ", b"(- ", b"(* ", b"(assert ", b"(not ", b"("])
            return (
                data[: a.start()] + head * depth + data[a.start() : a.end()] + b")" * depth + data[a.end() :]
            )
        case 3:
            return data[: a.start()] + data[a.end() :]
        case _:
            word = rng.choice(
                [
                    b"<=",
                    b"<",
                    b">=",
                    b">",
                    b"=",
                    b"!=",
                    b"and",
                    b"or",
                    b"+",
                    b"-",
                    b"*",
                    b"/",
                    b"true",
                    b"Real",
                    b"Y_1",
                    b"X_7",
                ]
            )
            inner = data[a.start() : a.end()].split(b" ")
            inner[rng.randrange(len(inner))] = rng.choice([word, b"(" + word])
            return data[: a.start()] + b" ".join(inner) + data[a.end() :]


def _model(data: bytes, rng: random.Random) -> bytes:
    """A field of the protobuf: operators, names, attributes, dimensions, types, opset."""
    from google.protobuf.message import DecodeError, EncodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
        graph = model.graph
        if not graph.node:
            return _bytes(data, rng)
        node = rng.choice(graph.node)
        names = [
            "",
            "x",
            "y",
            *(t.name for t in graph.initializer),
            *(o for n in graph.node for o in n.output),
        ]
        match rng.randrange(10):
            case 0 | 1:
                node.op_type = rng.choice(OPERATORS)
            case 2:
                names_of = rng.choice([node.input, node.output])
                if names_of and rng.random() < 0.6:
                    names_of[rng.randrange(len(names_of))] = rng.choice(names)
                else:
                    names_of.append(rng.choice(names))
            case 3:
                _attribute(node, rng)
            case 4 if graph.initializer:
                tensor = rng.choice(graph.initializer)
                tensor.dims.append(rng.choice([0, 1, 2, -1, 2**40]))
            case 5 if graph.initializer:
                tensor = rng.choice(graph.initializer)
                if tensor.dims:
                    tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(
                        [0, 1, 2, 3, -1, 2**31, 2**63 - 1]
                    )
            case 6 if graph.initializer:
                rng.choice(graph.initializer).data_type = rng.choice([0, 1, 6, 7, 8, 10, 11, 16, 17, 99])
            case 7 if model.opset_import:
                model.opset_import[0].version = rng.choice([1, 6, 7, 9, 11, 13, 18, 21, 25, 99])
            case 8:
                graph.node.insert(rng.randrange(len(graph.node)), node)
            case _:
                dims = graph.input[0].type.tensor_type.shape.dim if graph.input else []
                if dims:
                    dims[rng.randrange(len(dims))].dim_value = rng.choice([0, 1, 2, 3, -1, 2**40])
        changed: bytes = model.SerializeToString()
        return changed
    except (DecodeError, EncodeError, UnicodeError, RuntimeError, ValueError):
        return _bytes(data, rng)


def _attribute(node: Any, rng: random.Random) -> None:
    attribute = node.attribute.add()
    attribute.name = rng.choice([
        "alpha", "beta", "transA", "transB", "axis", "axes", "perm", "kernel_shape", "strides", "pads", "dilations", "group",
        "auto_pad", "keepdims", "epsilon", "to", "mode", "ceil_mode", "allowzero", "value", "num_outputs", "storage_order",
    ])  # fmt: skip
    attribute.type = rng.choice([1, 2, 3, 4, 6, 7])
    attribute.i = rng.choice([-(2**63), -1, 0, 1, 2, 2**40])
    attribute.f = rng.choice([0.0, -1.0, 0.5, float("nan"), float("inf")])
    attribute.s = rng.choice([b"", b"SAME_UPPER", b"VALID", b"\xff"])
    attribute.ints.extend(rng.choices([-1, 0, 1, 2, 3, 2**40], k=rng.randrange(5)))


OPERATORS = [
    "Relu", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Conv", "ConvTranspose", "BatchNormalization", "AveragePool", "MaxPool",
    "GlobalAveragePool", "Pad", "LeakyRelu", "Sigmoid", "Tanh", "Abs", "Neg", "Clip", "Max", "Min", "Concat", "Split", "Slice",
    "Gather", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "ReduceSum", "ReduceMean", "Expand", "Identity", "Dropout",
    "Cast", "Constant", "ConstantOfShape", "Shape", "Size", "Range", "Where", "Equal", "Pow", "Sqrt", "Exp", "Softmax", "Tile", "Mod",
    "NonZero", "ScatterND", "CastLike", "Floor", "Sign", "If", "Loop", "",
]  # fmt: skip


def _npy(data: bytes, rng: random.Random) -> bytes:
    """A member of the zip is changed, whole; the zip stays one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            members = {name: packed.read(name) for name in packed.namelist()}
    except Exception:  # noqa: BLE001  (a broken zip breaks zipfile in many ways; then bytes are changed instead)
        return _bytes(data, rng)
    if not members:
        return _bytes(data, rng)
    name = rng.choice(list(members))
    match rng.randrange(4):
        case 0:
            members[name] = _number(members[name][:200], rng) + members[name][200:]
        case 1:
            members[name] = members[rng.choice(list(members))]
        case 2:
            members.pop(name)
        case _:
            members[name] = _bytes(members[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer,
        "w",
        rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]),
    ) as out:
        for key, content in members.items():
            out.writestr(key, content)
    return buffer.getvalue()


def _header(data: bytes, rng: random.Random) -> bytes:
    """The JSON header of a safetensors file; its length stays right."""
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        return _bytes(data, rng)
    header = rng.choice([_json, _number])(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


STRUCTURED: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    "json": [_json, _json, _json],
    "vnnlib": [_expression, _expression, _expression],
    "onnx": [_model, _model, _model, _model],
    "npz": [_npy, _npy, _npy],
    "safetensors": [_header, _header],
    "bundle": [_npy],
}


# Targets: a reader, and valid inputs for it.


@dataclass(frozen=True)
class Target:
    """``run`` reads ``data``; ``folder`` is its own to write to."""

    name: str
    kind: str
    seeds: list[bytes]
    run: Callable[[bytes, Path], object]


def targets() -> list[Target]:
    dumps = {kind: seeds.tiny_dump(kind) for kind in seeds.KINDS}
    manifests = [json.dumps(d.manifest).encode() for d in dumps.values()]
    models = [seeds.model_bytes("Relu"), seeds.model_bytes("Sigmoid"), convolution()]
    with tempfile.TemporaryDirectory() as folder:
        bundle = seeds.tiny_bundle(Path(folder) / "b.tlcert").read_bytes()
    with zipfile.ZipFile(io.BytesIO(bundle)) as packed:
        inside = {name: packed.read(name) for name in packed.namelist()}
    weights, architecture = sequential()
    return [
        Target("strict JSON", "json", manifests, _run_json),
        Target("VNN-LIB 1", "vnnlib", [seeds.PROPERTY], _run_property),
        Target("VNN-LIB 2", "vnnlib", [seeds.PROPERTY2], _run_property),
        Target("ONNX", "onnx", models, _run_model),
        Target(
            "safetensors weights",
            "safetensors",
            [weights],
            lambda data, _: _run_sequential(data, architecture),
        ),
        Target("architecture", "json", [architecture], lambda data, _: _run_sequential(weights, data)),
        *(
            target
            for kind, d in dumps.items()
            for target in (
                Target(
                    f"dump manifest, {kind}",
                    "json",
                    [json.dumps(d.manifest).encode()],
                    _dump_runner(kind, "certificate.json"),
                ),
                Target(
                    f"dump arrays, {kind}",
                    "npz",
                    [seeds.npz_bytes(d.arrays)],
                    _dump_runner(kind, "arrays.npz"),
                ),
            )
        ),
        Target("bundle zip", "bundle", [bundle], _run_bundle),
        Target("bundle manifest", "json", [inside["manifest.json"]], _bundle_runner(inside, "manifest.json")),
        Target(
            "bundle arrays",
            "safetensors",
            [inside["arrays.safetensors"]],
            _bundle_runner(inside, "arrays.safetensors"),
        ),
    ]


def _run_json(data: bytes, folder: Path) -> object:
    from tlcheck.readers.formats.abcrown import Manifest
    from tlcheck.readers.strict_json import decode

    return decode(data, Manifest, "fuzz")


def _run_property(data: bytes, folder: Path) -> object:
    from tlcheck.readers.vnnlib.read import read_property

    return read_property(data, n_inputs=2, n_outputs=2, file="fuzz")


def _run_model(data: bytes, folder: Path) -> object:
    from tlcheck.readers.onnx import read_model

    return read_model(data, file="fuzz", folder=folder)


def _run_sequential(weights: bytes, architecture: bytes) -> object:
    from tlcheck.readers.sequential.read import read_safetensors_model

    return read_safetensors_model(weights, architecture, weights_file="w", architecture_file="a")


def _dump_runner(kind: str, name: str) -> Callable[[bytes, Path], object]:
    """The dump with one file replaced; what is read is also laid out as the check would."""

    def run(data: bytes, folder: Path) -> object:
        from tlcheck.readers.formats.abcrown import load_dump

        path = folder / kind
        if not path.is_dir():
            seeds.tiny_dump(kind).write(path)
        original = (path / name).read_bytes()
        try:
            (path / name).write_bytes(data)
            return [_laid_out(item) for item in load_dump(path, None, None)]
        finally:
            (path / name).write_bytes(original)

    return run


def _run_bundle(data: bytes, folder: Path) -> object:
    from tlcheck.readers.bundle.read import load_bundle

    path = folder / "fuzz.tlcert"
    path.write_bytes(data)
    return [_laid_out(item) for item in load_bundle(path, None, None)]


def _bundle_runner(files: dict[str, bytes], name: str) -> Callable[[bytes, Path], object]:
    """The bundle as a folder with one file replaced, hashes made to fit."""

    def run(data: bytes, folder: Path) -> object:
        from tlcheck.readers.bundle.read import load_bundle

        path = folder / "fuzz-folder.tlcert"
        path.mkdir(exist_ok=True)
        changed = {**files, name: data}
        if name != "manifest.json":
            manifest = msgspec.json.decode(files["manifest.json"])
            manifest["files"][name].update(sha256=sha256(data).hexdigest(), bytes=len(data))
            changed["manifest.json"] = msgspec.json.encode(manifest)
        for key, content in changed.items():
            (path / key).write_bytes(content)
        return [_laid_out(item) for item in load_bundle(path, None, None)]

    return run


def _laid_out(item: Any) -> int:
    """Leaves of the proof: guidance that a reader lets through must fit, or be refused as bad guidance."""
    from tlcheck.trusted.claim import UnsatClaim
    from tlcheck.trusted.plan import BadGuidance, Plan, Settings

    if not isinstance(item.claim, UnsatClaim) or item.guidance is None:
        return 0
    try:
        return len(Plan(item.claim, item.guidance, Settings()).leaves)
    except BadGuidance as error:
        raise InvalidInput("TLC105", str(error)) from None


def convolution() -> bytes:
    """A small network with a convolution, pooling and shape arithmetic."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node(
            "Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]
        ),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Shape", ["p"], ["sh"]),
        helper.make_node("Gather", ["sh", "zero"], ["n0"], axis=0),
        helper.make_node("Unsqueeze", ["n0", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "minus"], ["to"], axis=0),
        helper.make_node("Reshape", ["p", "to"], ["f"]),
        helper.make_node("MatMul", ["f", "l"], ["y"]),
    ]
    ones, ints = np.ones(2, np.float32), np.int64
    constants = {
        "w": np.ones((2, 1, 3, 3), np.float32), "b": ones, "s": ones, "o": ones, "m": ones, "v": ones,
        "zero": np.array(0, ints), "axes": np.array([0], ints), "minus": np.array([-1], ints), "l": np.ones((2, 2), np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return data


def sequential() -> tuple[bytes, bytes]:
    """(weights, architecture) of a convolution, a batch normalisation, a pooling and a linear layer."""
    import numpy as np

    def f32(*shape: int) -> tuple[str, list[int], bytes]:
        return "F32", list(shape), np.ones(shape, np.float32).tobytes()

    weights = safetensors(
        {
            "w": f32(2, 1, 3, 3),
            "b": f32(2),
            "s": f32(2),
            "o": f32(2),
            "m": f32(2),
            "v": f32(2),
            "l": f32(2, 8),
            "c": f32(2),
        }
    )
    architecture = {
        "format": "tlcheck.sequential.v1",
        "input": [1, 1, 8, 8],
        "layers": [
            {"type": "conv2d", "weight": "w", "bias": "b", "stride": [2, 2], "padding": [1, 1]},
            {"type": "batchnorm", "weight": "s", "bias": "o", "mean": "m", "var": "v", "eps": 1e-5},
            {"type": "leaky_relu", "negative_slope": 0.125},
            {"type": "maxpool2d", "kernel_size": [2, 2]},
            {"type": "flatten"},
            {"type": "linear", "weight": "l", "bias": "c"},
        ],
    }
    return weights, json.dumps(architecture).encode()


# The run.


class TooSlow(BaseException):
    """An execution beyond SLOW seconds."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TooSlow inside the block after that time, where the platform has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise TooSlow(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def crash_of(target: Target, data: bytes, folder: Path) -> BaseException | None:
    """What escaped besides InvalidInput, or None."""
    try:
        with limited(SLOW):
            target.run(data, folder)
    except InvalidInput as error:
        return (
            None
            if error.line().isprintable() or "\n" not in error.line()
            else ValueError("more than one line")
        )
    except (Exception, TooSlow) as error:  # noqa: BLE001  (finding these is the point)
        return error
    return None


def fuzz(seconds: float, seed: int, out: Path, most: float = inf) -> tuple[Counter[str], dict[str, Path]]:
    """(executions by target, a crashing input for each kind of crash), within ``seconds`` and ``most`` executions."""
    rng = random.Random(seed)
    executions: Counter[str] = Counter()
    crashes: dict[str, Path] = {}
    everything = targets()
    pool = {target.name: list(target.seeds) for target in everything}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for target in everything:
            for data in target.seeds:
                target.run(data, folder)  # a seed that is refused would make the rest pointless
        end = time.monotonic() + seconds
        while time.monotonic() < end and executions.total() < most:
            target = rng.choice(everything)
            data = mutated(rng.choice(pool[target.name]), rng, target.kind)
            executions[target.name] += 1
            error = crash_of(target, data, folder)
            if error is None:
                if rng.random() < 0.02 and len(pool[target.name]) < 200:
                    pool[target.name].append(data)  # go further from a mutant, now and then
                continue
            frames = traceback.extract_tb(error.__traceback__)
            where = next((f for f in reversed(frames) if "tlcheck" in f.filename), frames[-1])
            key = f"{target.name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            if key not in crashes:
                out.mkdir(parents=True, exist_ok=True)
                crashes[key] = out / f"crash-{len(crashes)}-{sha256(data).hexdigest()[:12]}"
                crashes[key].write_bytes(data)
                print(
                    f"CRASH  {key}: {' '.join(str(error).split())[:200]}\n       {crashes[key]}", flush=True
                )
    return executions, crashes


def main(arguments: list[str]) -> int:
    if arguments[:1] and arguments[0] in OTHERS:
        return int(import_module(f"tests.fuzz.{arguments[0]}.run").main(arguments[1:]))
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--executions", type=int, default=None, help="end after so many of them, too")
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed")
    parser.add_argument(
        "--out", type=Path, default=None, help="folder for crashing inputs (default: a temporary one)"
    )
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else time.time_ns() % 2**32
    out = given.out if given.out is not None else Path(tempfile.gettempdir()) / f"tlcheck-fuzz-{seed}"
    print(f"seed {seed}, {given.seconds:g} s", flush=True)
    executions, crashes = fuzz(
        given.seconds, seed, out, inf if given.executions is None else given.executions
    )
    for name, count in sorted(executions.items()):
        print(f"{count:8}  {name}")
    print(f"{sum(executions.values())} executions, {len(crashes)} kinds of crash")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
