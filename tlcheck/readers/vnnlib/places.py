"""Names against places: what two files both name is not taken by place where the names say otherwise.

A model's tensors are numbered in the order of its file, and so are the variables of a property, the coordinates of an
equation or the states of a closed loop. Where names on both sides speak of the same things, they must agree with that order;
only names that say nothing leave the order alone to decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tlcheck.errors import InvalidInput

if TYPE_CHECKING:
    from tlcheck.readers.vnnlib.version2 import Network
    from tlcheck.trusted.graph import Graph

Named = tuple[str, tuple[int, ...]]
"""A tensor of a model: its name and its shape."""

_PARTS: Final = re.compile(r"[A-Za-z0-9]+")
_CAMEL: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_WORDS: Final = {"time": "t"}
"""Words that are written for a coordinate of one letter."""


def inputs_of(graph: Graph) -> list[Named]:
    return [(name, graph.nodes[i].shape) for name, i in zip(graph.input_names, graph.inputs, strict=True)]


def outputs_of(graph: Graph) -> list[Named]:
    return [(name, graph.nodes[i].shape) for name, i in zip(graph.output_names, graph.outputs, strict=True)]


# Declarations of VNN-LIB 2.0.


def check_declared(
    network: Network, inputs: Sequence[Named], outputs: Sequence[Named], *, file: str = ""
) -> None:
    """A declaration fits a model: as many inputs and outputs, none named as another one of the model, shapes alike.

    Raises InvalidInput TLC303.
    """
    for what, declared, there in (
        ("inputs", network.of_kind("input"), inputs),
        ("outputs", network.of_kind("output"), outputs),
    ):
        if len(declared) != len(there):
            raise InvalidInput(
                "TLC303", f"the property does not fit the model's number of {what}", file=file,
                field=f"network {network.name}", expected=str(len(there)), got=str(len(declared)),
            )  # fmt: skip
        names = [name for name, _ in there]
        for k, tensor in enumerate(declared):
            other = _bearer(tensor.name, names)
            if other not in (None, k):
                raise InvalidInput(
                    "TLC303", f"{what} are declared in another order than the model's", file=file,
                    field=tensor.name, expected=_listed(names), got=_listed([t.name for t in declared]),
                )  # fmt: skip
        for tensor, (name, shape) in zip(declared, there, strict=True):
            if squeezed(shape) != squeezed(tensor.shape):
                raise InvalidInput(
                    "TLC303", f"the declared shape is not that of '{name}'", file=file, field=tensor.name,
                    expected=str(list(shape)), got=str(list(tensor.shape)),
                )  # fmt: skip


def check_flat(inputs: Sequence[Named], outputs: Sequence[Named], *, file: str = "") -> None:
    """Of a property of VNN-LIB 1.0, whose X_i and Y_j are flat places: no model of single values that bear such names in
    another order. Raises InvalidInput TLC303."""
    for letter, what, tensors in (("X", "inputs", inputs), ("Y", "outputs", outputs)):
        names = [name for name, _ in tensors]
        numbers = [
            re.fullmatch(rf"{letter}_?(0|[1-9][0-9]{{0,8}})", name.removesuffix(":0"), re.IGNORECASE)
            for name in names
        ]
        if len(names) < 2 or any(_size(shape) != 1 for _, shape in tensors):
            continue
        said = [None if m is None else int(m[1]) for m in numbers]
        shift = min((n for n in said if n is not None), default=0)  # X_1, X_2, ... count from 1
        if any(n is not None and n - (shift if None not in said else 0) != k for k, n in enumerate(said)):
            raise InvalidInput(
                "TLC303", f"the model's {what} have names of the property's variables, in another order", file=file,
                field=f"{letter}_0", expected=_listed([f"{letter}_{k}" for k in range(len(names))]), got=_listed(names),
            )  # fmt: skip


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """Without axes of size 1, which do not change the order of values."""
    return tuple(n for n in shape if n != 1)


def _bearer(declared: str, names: Sequence[str]) -> int | None:
    """The place of the one tensor that has this name: exactly, else but for case and for what VNN-LIB cannot write."""
    if declared in names:
        return names.index(declared)
    same = [k for k, name in enumerate(names) if _plain(name) == _plain(declared)]
    return same[0] if len(same) == 1 else None


def _plain(name: str) -> str:
    return "_".join(_PARTS.findall(name.removesuffix(":0"))).casefold()


# Names in a file that lists what the values of a network's tensors are.


def check_places(
    tensors: Sequence[Named], wanted: Sequence[str | None], what: str, *, field: str, file: str = ""
) -> None:
    """No tensor is named as another than the one of ``wanted`` (one for each value; None: anything) at its place.

    ``what`` the file lists, for the message. Raises InvalidInput TLC204. Sizes that differ are another's to refuse.
    """
    sizes = [_size(shape) for _, shape in tensors]
    if sum(sizes) != len(wanted):
        return
    known = [w for w in wanted if w is not None]
    place = 0
    every = [_said(name, size, known) for (name, _), size in zip(tensors, sizes, strict=True)]
    for (name, _), size, said in zip(tensors, sizes, every, strict=True):
        here = wanted[place : place + size]
        if sum(said[0] in other for other in every) > 1 and size == 1 and name not in known:
            said = [None]  # x1, x2: numbered
        alien = len(tensors) > 1 and len(name) == 1 and size == 1 and said == [None] and None not in here
        if alien or any(s is not None and w is not None and s != w for s, w in zip(said, here, strict=True)):
            raise InvalidInput(
                "TLC204", f"the names of the network's {field} are not {what} in their order (list them in its order)",
                field=name, file=file, expected=_listed([w or "(an expression)" for w in wanted]),
                got=_listed([n for n, _ in tensors]),
            )  # fmt: skip
        place += size


def _size(shape: Sequence[int]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _said(name: str, size: int, known: Sequence[str]) -> list[str | None]:
    """Which of ``known`` a tensor's name says its values are, in order; None where it says nothing."""
    if size == 1 and name in known:
        return [name]
    parts = [part for whole in _PARTS.findall(name) for part in (whole, *_CAMEL.findall(whole))]
    for words in (_PARTS.findall(name), list(dict.fromkeys(parts))):
        found = [k for k in (_known(word, known) for word in words) if k is not None]
        if len(found) == size and len(set(found)) == size:
            return list(found)
    if size > 1:
        for word in parts:  # "xt": a letter for each value
            letters = [_known(letter, known) for letter in word]
            if len(letters) == size == len(set(letters)) and None not in letters:
                return letters
    return [None] * size


def _known(word: str, known: Sequence[str]) -> str | None:
    if word in known:
        return word
    word = _WORDS.get(word.casefold(), word)
    same = [k for k in known if k.casefold() == word.casefold()]
    return same[0] if len(same) == 1 else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(ascii(name[:40])[1:-1] for name in names[:12]) + (", ..." if len(names) > 12 else "")
