"""Which file is meant: one file that can be read in two ways, and weights that lie in another file than the model."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction

from models import Writer, gemm
from packing import ARCHITECTURE, WEIGHTS, Bundle, Case, Files, with_manifest
from properties import vnnlib1
from regressions import ONE_LEAF, Regression, leaves

from tlcheck.trusted.guidance import Guidance

F = Fraction
HALF = "(>= Y_0 0.5)"
"""Satisfied by y = x on [0, 1], and not by y = 0."""
PROPERTY = "property.vnnlib"
NET, DATA = "models/net.onnx", "net.onnx.data"
WIDTH = 32
"""Bytes that the protobuf field of tag and length "\\n " skips."""


def network(weight: float) -> bytes:
    """y = weight x"""
    w = Writer()
    gemm(w, "x", "y", [[weight]], [0])
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


def polyglot(model: bytes, weight: float) -> bytes:
    """A safetensors file with the weight as tensor "w", whose bytes are an ONNX file of ``model`` too.

    To protobuf, the length of the header (its first byte is a tag) and its first character are a field of 8 bytes, each line
    of the header is a field of 32 bytes (its line feed and space are tag and length), and the weight is an unknown field's.
    """
    held = model + b"\x7a\x04"  # field 15, 4 bytes: the weight
    n = len(held)
    tokens = [
        '"a":', "{", '"dtype":"U8",', '"shape":', f"[{n}],", '"data_offsets":', f"[0,{n}]", "},",
        '"w":', "{", '"dtype":"F32",', '"shape":', "[1,1],", '"data_offsets":', f"[{n},{n + 4}]", "}", "}",
    ]  # fmt: skip
    lines = [""]
    for token in tokens:
        if len(lines[-1]) + len(token) > WIDTH:
            lines.append("")
        lines[-1] += token
    length = 0x0909  # its low byte is the tag of field 1 with 8 bytes
    lines += [""] * ((length - 1) // (WIDTH + 2) - len(lines))
    header = "{" + "".join("\n " + line.ljust(WIDTH) for line in lines)
    if len(header) != length:
        raise ValueError("the header does not end with a line")
    return struct.pack("<Q", length) + header.encode() + held + struct.pack("<f", weight)


def two_readings() -> Bundle:
    """By its architecture the network is y = 0; as ONNX, the weights file is y = x."""
    layers = [{"type": "linear", "weight": "w"}]
    architecture = {"format": "tlcheck.sequential.v1", "input": [1, 1], "layers": layers}
    files = {WEIGHTS: polyglot(network(1.0), 0.0), ARCHITECTURE: json.dumps(architecture).encode() + b"\n"}
    made = Bundle({**files, PROPERTY: vnnlib1(1, [(F(0), F(1))], [HALF])})
    return made.add_unsat(Guidance(ONE_LEAF, leaves([])))


def two_roles() -> Bundle:
    made = two_readings()
    [claim] = made.claims
    made.claims.append({**claim, "model": WEIGHTS, "name": "as ONNX"})
    return made


def in_parts(here: float | None, root: float) -> Files:
    """y = 0, its weight in another file: ``here`` in the model's folder, ``root`` in the bundle's."""
    import onnx

    made = Bundle({NET: network(0.0), PROPERTY: vnnlib1(1, [(F(0), F(1))], [HALF])})
    content = made.add_unsat(Guidance(ONE_LEAF, leaves([]))).content()
    model = onnx.load_model_from_string(content[NET])
    [weight] = [t for t in model.graph.initializer if len(t.dims) == 2]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=DATA)
    files = {name: data for name, data in content.items() if name != "manifest.json"}
    files[NET] = model.SerializeToString(deterministic=True)
    for name, value in ((f"models/{DATA}", here), (DATA, root)):
        if value is not None:
            files[name] = struct.pack("<f", value)
    return with_manifest(files, made.claims)


def cases() -> Iterator[Case]:
    def case(
        name: str, content: Files, exit: int, code: str, note: str, also: Mapping[str, int] | None = None
    ) -> Case:
        return Regression("regressions", name, content, exit, code, note, also=also or {})

    given = {f"--model {{case}}/x.tlcert/{WEIGHTS}": 3}
    yield case(
        "weights-that-are-an-onnx-model-too", two_readings().content(), 0, "TLC001",
        "true of weights and architecture (y = 0); --model WEIGHTS would be another network (y = x)", given,
    )  # fmt: skip
    yield case(
        "one-file-in-two-roles", two_roles().content(), 3, "TLC101", "weights of one claim, model of another"
    )
    yield case(
        "data-file-beside-the-model", in_parts(0.0, 1.0), 0, "TLC001",
        "the weight is in the model's folder; the file of the same name in the bundle's folder is not read",
    )  # fmt: skip
    yield case(
        "data-file-in-another-folder", in_parts(None, 0.0), 3, "TLC205",
        "the weight is not beside the model that names it",
    )  # fmt: skip
