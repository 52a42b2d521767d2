"""Every operation of tlcheck/trusted/ops, found by importing its modules: a test that lists some is held to name all."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

from tlcheck.trusted import ops
from tlcheck.trusted.ops.base import Operation, Step

MODULES = [import_module(f"{ops.__name__}.{found.name}") for found in pkgutil.iter_modules(ops.__path__)]


def _below(kind: type[Operation]) -> Iterator[type[Operation]]:
    yield kind
    for found in kind.__subclasses__():
        yield from _below(found)


def operations(*modules: str) -> set[type[Operation]]:
    """The operations that these modules define; all, where none is named."""
    homes = {f"{ops.__name__}.{name}" for name in modules} or {module.__name__ for module in MODULES}
    return {kind for kind in _below(Operation) if kind.__module__ in homes and not inspect.isabstract(kind)}


def step_of(op: Operation, *shapes: tuple[int, ...]) -> Step:
    """The function of an operation that is not affine, on operands of these shapes."""
    return op.step(shapes, op.output_shape(shapes))


PIECEWISE_LINEAR = operations("structure", "affine", "convolution", "activation", "bent", "selection")
