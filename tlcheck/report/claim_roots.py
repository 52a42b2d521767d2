"""Where what a verdict rests on starts: modules of rings 0 and 1 by their names. What they import is ``rests_on``'s to find.

- the module that tells formats apart, and the readers that the claim's files asked for (``LoadedClaim.readers``);
- the module of the claim's class, and those that the claim ``asks_for``; the modules of its networks' operations;
- the modules that make the verdict, and the engines that the report names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tlcheck.options import TAYLOR64

if TYPE_CHECKING:
    from tlcheck.readers.loaded import LoadedClaim
    from tlcheck.report.result import ClaimResult

RING_0: Final = "tlcheck.trusted."
READING: Final = ("tlcheck.readers.formats.detect",)
"""Tells which reader reads a file."""
DECIDING: Final = {
    kind: tuple(RING_0 + name for name in ("decide", "arith.decimals", *modules))
    for kind, modules in {
        "unsat": ("plan", "leaf_pass"),
        "sat": ("witness",),
        "": ("tally",),
    }.items()
}
"""What makes the verdict of an unsat claim, of a sat claim, of one that is a conjunction of conditions; and what rounds the
numbers that are reported with it."""
ENGINES: Final = {
    "arb": (f"{RING_0}arith.integer",),
    "ball64": (f"{RING_0}arith.ball64", f"{RING_0}arith.probe", f"{RING_0}formed_pass"),
    "directed": (f"{RING_0}arith.directed", f"{RING_0}arith.direction", "tlcheck.kernels.native"),
}
"""By their names in reports; float64 with the probe of its products and what leaves' own bounds begin with, native kernels
with theirs and what calls them."""
BOTH: Final = (f"{RING_0}arith.limbs",)
"""What decides in integers where the bounds are float64's."""
IMAGES: Final = (f"{RING_0}windows",)
"""What rows of an image's values reach."""
DEPLOYED: Final = (f"{RING_0}rounding", "tlcheck.readers.runtime_profile")
"""Radii of what float32 rounds, and what is assumed of the runtime."""


def roots_of(loaded: LoadedClaim, result: ClaimResult) -> tuple[str, ...]:
    """The modules that a claim's closure starts from."""
    claim = decided(loaded, result)
    found = [*READING, *loaded.readers, type(claim).__module__, *getattr(claim, "asks_for", ())]
    found += [*DECIDING.get(claim.kind, DECIDING[""]), *operations(claim)]
    if f"{RING_0}ops.convolution" in found:
        found += IMAGES
    if claim.kind == "unsat":
        for word in ("deciding", "intermediate"):
            found += ENGINES[str(result.arithmetic[word])] if word in result.arithmetic else ()
        if (result.arithmetic.get("deciding"), result.arithmetic.get("intermediate")) == ("arb", "ball64"):
            found += BOTH
    if result.arithmetic.get("semantics") == "deployed":
        found += DEPLOYED
    return tuple(dict.fromkeys(found))


def decided(loaded: LoadedClaim, result: ClaimResult) -> Any:
    """The claim, by the arithmetic that the report names."""
    claim: Any = loaded.claim
    return claim.in_float64() if result.arithmetic.get("deciding") == TAYLOR64 else claim


def operations(claim: object) -> set[str]:
    """The modules of the operations of the claim's networks."""
    return {type(node.op).__module__ for graph in graphs(claim, set()) for node in graph.nodes}


def graphs(value: object, seen: set[int], depth: int = 5) -> Iterator[Any]:
    """The graphs among a claim's fields, and its fields' fields."""
    if id(value) in seen or not depth:
        return
    seen.add(id(value))
    kind = type(value)
    if kind.__module__ == f"{RING_0}graph" and kind.__name__ == "Graph":
        yield value
    elif kind.__module__.startswith(RING_0):
        for part in list(getattr(value, "__dict__", {}).values()):
            yield from graphs(part, seen, depth - 1)
    elif isinstance(value, tuple):
        for part in value[:64]:
            yield from graphs(part, seen, depth - 1)
