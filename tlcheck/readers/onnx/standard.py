"""What the standard says of an operator at an opset, from the installed onnx package's own table of schemas.

Guarantee of :func:`misfit` being None: the operator exists at that opset and is not deprecated there, and the node has only
operands, outputs, attributes and element types that its version there has. So a form of another opset is never read
as if it were this one's, and an opset that the package does not know is no opset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

MIN_OPSET = 7
"""Before 7, Add and others had another meaning."""
READ_OPSET = 28
"""The newest opset that the lowerings were written against: a newer package's versions of operators are not known."""


def max_opset() -> int:
    """The newest opset that is read: the package's, or the lowerings' if that is older."""
    from onnx import defs

    return min(READ_OPSET, int(defs.onnx_opset_version()))


@dataclass(frozen=True)
class Operand:
    """``name`` of the schema; ``kind``: operands of one kind have one type (empty: any); ``types``: element types."""

    name: str
    required: bool
    kind: str
    types: frozenset[str]


@dataclass(frozen=True)
class Form:
    """One version of an operator. ``rest``: further operands of a variadic one are like the last of ``operands``."""

    since: int
    deprecated: bool
    operands: tuple[Operand, ...]
    rest: bool
    max_outputs: int
    attributes: Mapping[str, int]
    required: tuple[str, ...]


Misfit = tuple[str, str]
"""(code, what is wrong): TLC201 when something is missing, TLC202 when there is something that the version has not."""


@cache
def form_of(operator: str, opset: int) -> Form | None:
    """The operator's version at ``opset`` of the default domain; None when it has none."""
    from onnx import defs

    try:
        schema = defs.get_schema(operator, opset, "")
    except defs.SchemaError:
        return None
    option = defs.OpSchema.FormalParameterOption
    operands = []
    for entry in schema.inputs:
        alone = entry.option == option.Variadic and not entry.is_homogeneous
        kind, types = "" if alone else entry.type_str, frozenset(entry.types)
        operands.append(Operand(entry.name, entry.option == option.Single, kind, types))
    return Form(
        schema.since_version,
        schema.deprecated,
        tuple(operands),
        rest=any(entry.option == option.Variadic for entry in schema.inputs),
        max_outputs=schema.max_output,
        attributes={name: int(a.type) for name, a in schema.attributes.items()},  # type: ignore[call-overload]
        required=tuple(name for name, a in schema.attributes.items() if a.required),
    )


def first_opset(operator: str) -> int | None:
    """The opset that brought the operator; None when the package has no such operator."""
    from onnx import defs

    history = defs.get_all_schemas_with_history()
    return min((s.since_version for s in history if s.name == operator and not s.domain), default=None)


def tensor_type(dtype: str) -> str:
    """A type's name in schemas."""
    return f"tensor({ {'float32': 'float', 'float64': 'double'}.get(dtype, dtype) })"


def misfit(
    operator: str,
    opset: int,
    dtypes: Sequence[str | None],
    kinds: Mapping[str, int],
    outputs: Sequence[str],
    form: Form | None = None,
) -> Misfit | None:
    """What the operator's version at ``opset`` does not have, or what it must have; None when the node is of its form.

    ``dtypes``: element type of each operand, None when absent; ``kinds``: AttributeType of each attribute; ``outputs``: names;
    ``form``: that version, of an operator that is not the standard's.
    """
    form = form or form_of(operator, opset)
    if form is None:
        first = first_opset(operator)
        since = "" if first is None else f" (it came with opset {first})"
        return "TLC202", f"not in opset {opset}{since}"
    if form.deprecated:
        return "TLC202", f"deprecated since opset {form.since}; the model says opset {opset}"
    version = f"{operator} of opset {opset} (version {form.since})"
    for name, kind in kinds.items():
        if name not in form.attributes:
            return "TLC202", f"attribute {name}: {version} has none"
        if kind != form.attributes[name]:
            return "TLC202", f"attribute {name} of an unexpected type"
    for name in form.required:
        if name not in kinds:
            return "TLC201", f"{operator} without attribute {name}"
    named = [i for i, name in enumerate(outputs) if name]
    if named and named[-1] >= form.max_outputs:
        return "TLC202", f"output {named[-1]} '{outputs[named[-1]]}': {version} has {form.max_outputs}"
    return _operands_misfit(form, version, dtypes)


def _operands_misfit(form: Form, version: str, dtypes: Sequence[str | None]) -> Misfit | None:
    more = form.operands[-1:] * (len(dtypes) - len(form.operands)) if form.rest else ()
    kinds: dict[str, str] = {}
    for i, (operand, dtype) in enumerate(zip_longest((*form.operands, *more), dtypes)):
        if operand is None and dtype is not None:
            return "TLC202", f"operand {i}: {version} has {len(form.operands)}"
        if operand is None or dtype is None:
            if operand is not None and operand.required:
                return "TLC201", f"operand {i} of {version} is missing"
            continue
        if tensor_type(dtype) not in operand.types:
            return "TLC202", f"operand {i} ({operand.name}) of type {dtype}: {version} has no such type"
        if operand.kind and kinds.setdefault(operand.kind, dtype) != dtype:
            return "TLC202", f"operands of different types: {', '.join(sorted((kinds[operand.kind], dtype)))}"
    return None
