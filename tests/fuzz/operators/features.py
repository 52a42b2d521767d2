"""What a version of an operator has, by its schema, one by one: and how a case is made to have it.

Features: each attribute, given or left out; each operand and output, there or not; each type of each type parameter; operands
without entries, and of rank 0. ``of`` reads a case's own features off it, whoever drew it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from onnx import helper

from tests.fuzz.operators.model import Case, Maker, Operand, schemas, versions

TYPES = {
    "float": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "string": 8, "bool": 9, "float16": 10, "double": 11,
    "uint32": 12, "uint64": 13, "complex64": 14, "complex128": 15, "bfloat16": 16, "float8e4m3fn": 17, "float8e4m3fnuz": 18, "float8e5m2": 19,
    "float8e5m2fnuz": 20, "uint4": 21, "int4": 22, "float4e2m1": 23, "float8e8m0": 24, "uint2": 25, "int2": 26,
}  # fmt: skip
"""The standard's name of an element type, and its number."""
CASTABLE = {"float", "double", "float16", "bfloat16", "int64", "int32", "int8", "uint8"}
"""Types to which the model's inputs are brought before the node; operands of others are constants."""
NO_ENTRIES, RANK_0 = "an operand without entries", "an operand of rank 0"


def features(schema: Any) -> list[str]:
    """Of one version."""
    found = [f"{name} given" for name in sorted(schema.attributes)]
    found += [f"{name} left out" for name, a in sorted(schema.attributes.items()) if not a.required]
    for entry in schema.inputs:
        found.append(f"operand {entry.name} given")
        if str(entry.option).endswith("Optional"):
            found.append(f"operand {entry.name} left out")
    for k, entry in enumerate(schema.outputs):
        found += [f"output {entry.name} wanted"] + ([f"output {entry.name} not there"] if k else [])
    for parameter in schema.type_constraints:
        for text in sorted(parameter.allowed_type_strs):
            if element(text):
                found.append(f"{parameter.type_param_str}: {element(text)}")
    found += [NO_ENTRIES, RANK_0] if schema.inputs else []
    return found[-1:] if schema.deprecated else found  # refused whatever it has


def element(text: str) -> str:
    """float of tensor(float); "" for what is no tensor."""
    return text[7:-1] if text.startswith("tensor(") and text[7:-1] in TYPES else ""


@cache
def plan(only: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    """(operator, version's place, feature), operators mixed so that any stretch has all of them."""
    rows = [
        (k, (name, v, feature))
        for name in only or schemas()
        for v, (schema, _, _) in enumerate(versions(name))
        for k, feature in enumerate(features(schema))
    ]
    return [row for _, row in sorted(rows, key=lambda r: (r[0], r[1][2], r[1][0], r[1][1]))]


def parameter_of(schema: Any, i: int) -> Any:
    """The schema's entry for operand i; the last one again where it is variadic."""
    entries = schema.inputs
    if i < len(entries):
        return entries[i]
    return entries[-1] if entries and str(entries[-1].option).endswith("Variadic") else None


def of(case: Case, schema: Any) -> set[str]:
    """The features that the case has."""
    found = {f"{name} {'given' if name in case.attributes else 'left out'}" for name in schema.attributes}
    for i, entry in enumerate(schema.inputs):
        there = i < len(case.operands) and case.operands[i] is not None
        found.add(f"operand {entry.name} {'given' if there else 'left out'}")
    for i, entry in enumerate(schema.outputs):
        there = i < len(case.outputs) and bool(case.outputs[i])
        found.add(f"output {entry.name} {'wanted' if there and case.outputs[i] == 'wanted' else 'not there'}")
    for i, operand in enumerate(case.operands):
        if operand is None:
            continue
        entry = parameter_of(schema, i)
        if entry is not None:
            found.add(f"{entry.type_str}: {name_of(operand.value)}")
        if operand.value.size == 0:
            found.add(NO_ENTRIES)
        if operand.value.ndim == 0:
            found.add(RANK_0)
    return found


def name_of(value: Any) -> str:
    if value.dtype.kind in "OU":
        return "string"
    number = helper.np_dtype_to_tensor_dtype(value.dtype)
    return next(name for name, k in TYPES.items() if k == number)


def aim(m: Maker, feature: str) -> None:
    """Changes the drawn case so that it has the feature, as far as one change can."""
    name, given = feature.removesuffix(" given").removesuffix(" left out"), feature.endswith(" given")
    if feature in (NO_ENTRIES, RANK_0):
        _emptied(m, feature)
    elif ": " in feature:
        parameter, _, wanted = feature.partition(": ")
        _retyped(m, parameter, wanted)
    elif feature.startswith("operand "):
        _operand(m, name.removeprefix("operand "), given)
    elif feature.startswith("output "):
        _output(m, feature.removeprefix("output "))
    elif given:
        _given(m, name)
    else:
        m.case.attributes.pop(name, None)


def _given(m: Maker, name: str) -> None:
    attribute = m.schema.attributes[name]
    if name in m.case.attributes:
        return
    default = attribute.default_value
    if default.name and m.maybe(0.3):
        m.case.attributes[name] = helper.get_attribute_value(default)
        return
    value = m.anything(str(attribute.type).split(".")[-1])
    if value is not None:
        m.case.attributes[name] = value


def _operand(m: Maker, name: str, given: bool) -> None:
    i = next(k for k, entry in enumerate(m.schema.inputs) if entry.name == name)
    operands = m.case.operands
    if not given:
        if i < len(operands):
            operands[i] = None
        return
    while len(operands) <= i:
        operands.append(None)
    if operands[i] is not None:
        return
    types = {
        element(t)
        for c in m.schema.type_constraints
        if c.type_param_str == m.schema.inputs[i].type_str
        for t in c.allowed_type_strs
    }
    types |= {element(m.schema.inputs[i].type_str)}
    shapes = [x.value.shape for x in operands if x is not None] or [()]
    shape = m.pick([*shapes, (), (1,), shapes[0][:1], shapes[0][-1:]])
    value = (
        m.floats(shape)
        if "float" in types
        else m.bools(shape)
        if "bool" in types and "int64" not in types
        else m.ints(shape, 0, 2)
    )
    operands[i] = Operand(value, m.pick(["stored", "stored", "constant", "data"]))


def _output(m: Maker, text: str) -> None:
    wanted = text.endswith(" wanted")
    name = text.removesuffix(" wanted").removesuffix(" not there")
    i = next(k for k, entry in enumerate(m.schema.outputs) if entry.name == name)
    outputs = m.case.outputs
    while len(outputs) <= i:
        outputs.append("")
    outputs[i] = "wanted" if wanted else ""
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()


def _retyped(m: Maker, parameter: str, wanted: str) -> None:
    """Every operand of the type parameter; values are rounded to integers of small size first where the type needs it."""
    if wanted.startswith("complex"):
        return
    kind = np.dtype(object) if wanted == "string" else helper.tensor_dtype_to_np_dtype(TYPES[wanted])
    for i, operand in enumerate(m.case.operands):
        entry = parameter_of(m.schema, i)
        if operand is not None and entry is not None and entry.type_str == parameter:
            value = operand.value
            if wanted == "string":
                value = np.array([str(v) for v in value.ravel().tolist()], object).reshape(value.shape)
            elif value.dtype != kind:
                value = _converted(value, kind, wanted)
            operand.value = value
            if operand.role == "data" and wanted not in CASTABLE:
                operand.role = "stored"


def _converted(value: Any, kind: Any, wanted: str) -> Any:
    """With entries that both types have."""
    wide = np.nan_to_num(np.asarray(value, np.float64), posinf=7, neginf=-7)
    if wanted.startswith(("uint", "int")):
        low, high = (
            (0 if wanted[0] == "u" else -2 if wanted == "int2" else -8),
            (3 if wanted == "uint2" else 1 if wanted == "int2" else 7),
        )
        return np.clip(np.rint(wide), low, high).astype(np.int64).astype(kind)
    if wanted == "bool":
        return wide != 0
    if wanted not in ("float", "double", "float16"):
        wide = np.clip(np.rint(wide * 2) / 2, -4, 4)
        wide = np.maximum(np.abs(wide), 1) if wanted == "float8e8m0" else wide
    return np.clip(wide, -60, 60).astype(kind) if wanted == "float16" else wide.astype(kind)


def _emptied(m: Maker, feature: str) -> None:
    """One operand's axis of size 0, in all operands that have that size there; or one operand's first entry alone."""
    those = [x for x in m.case.operands if x is not None and x.value.ndim > 0]
    if not those:
        return
    first = those[0] if m.maybe(0.6) else m.pick(those)
    if feature == RANK_0:
        if first.value.size:
            first.value = np.array(first.value.ravel()[0], first.value.dtype)
        return
    axis = m.int(0, first.value.ndim - 1)
    size = first.value.shape[axis]
    together = m.maybe(0.6)
    for x in those:
        if x is first or (together and x.value.ndim > axis and x.value.shape[axis] == size):
            x.value = np.take(x.value, [], axis=axis)
            x.role = "stored" if x.role == "data" else x.role  # an input without entries is no input
