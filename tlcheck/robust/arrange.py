"""How a sample becomes the network's input: the order of its values, never guessed where it can be two (TLC502)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from tlcheck.errors import InvalidInput

LAYOUTS: Final = {"given": None, "hwc-to-chw": (2, 0, 1), "chw-to-hwc": (1, 2, 0)}
"""--layout: as it is, or with the axes in this order."""
CHANNELS: Final = 4
"""Up to so many values along an axis are taken for channels where --layout does not say so."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Arrangement:
    """``order``: for each flat input the place of its value in the sample; ``shape``: of the sample as it goes in."""

    layout: str
    shape: Shape
    order: tuple[int, ...]

    @property
    def moves(self) -> bool:
        return self.order != tuple(range(len(self.order)))


def arranged(sample: Shape, tensor: Shape, layout: str = "") -> Arrangement:
    """A sample of shape ``sample`` as the network's input of shape ``tensor`` (with or without a first axis 1).

    ``layout`` names the one way; without it there must be one alone. Raises InvalidInput TLC503: none fits, TLC502: two do.
    """
    sample, inner = _flat(sample), _flat(tensor[1:] if len(tensor) > 1 and tensor[0] == 1 else tensor)
    if prod(sample) != prod(inner):
        raise InvalidInput(
            "TLC503", "a sample has another number of values than the network's input",
            expected=_sized(inner), got=_sized(sample),
        )  # fmt: skip
    ways = [
        way for name in ([layout] if layout else LAYOUTS) if (way := _way(name, sample, inner, bool(layout)))
    ]
    distinct = list({way.order: way for way in reversed(ways)}.values())
    if not distinct:
        raise InvalidInput(
            "TLC503", "a sample does not fit the network's input" + (f" with --layout {layout}" if layout else ""),
            expected=_sized(inner), got=_sized(sample),
        )  # fmt: skip
    if len(distinct) > 1:
        raise InvalidInput(
            "TLC502", "in which order do a sample's values go in? say it with --layout",
            expected=" or ".join(way.layout for way in reversed(distinct)), got=f"{_sized(sample)} for {_sized(inner)}",
        )  # fmt: skip
    return distinct[0]


def _way(name: str, sample: Shape, inner: Shape, asked: bool) -> Arrangement | None:
    """The arrangement by this layout; None where it does not fit, or nobody would mean it."""
    axes = LAYOUTS[name]
    if axes is None:
        fits = _same(sample, inner) or len(sample) == 1 or len(inner) == 1
        return (
            Arrangement(name, inner if len(sample) == 1 else sample, tuple(range(prod(sample))))
            if fits
            else None
        )
    if len(sample) == 1 and len(inner) == 3:
        before = tuple(inner[axes.index(k)] for k in range(3))
    elif len(sample) == 3:
        before = sample
    else:
        return None
    after = tuple(before[k] for k in axes)
    channels = before[axes[0]] if name == "hwc-to-chw" else before[0]
    if len(inner) not in (1, 3) or (len(inner) == 3 and after != inner):
        return None
    if not asked and channels > CHANNELS:
        return None
    order = np.arange(prod(sample)).reshape(before).transpose(axes).ravel()
    return Arrangement(name, after, tuple(order.tolist()))


def _flat(shape: Shape) -> Shape:
    """With one axis where one alone is longer than 1: there is one order then."""
    return (prod(shape),) if sum(n > 1 for n in shape) < 2 else shape


def _same(sample: Shape, inner: Shape) -> bool:
    """The same axes, but for one of length 1 at either end: a grey picture's channel."""
    return inner in (sample, (1, *sample), (*sample, 1)) or sample in ((1, *inner), (*inner, 1))


def _sized(shape: Shape) -> str:
    return f"{' x '.join(map(str, shape)) or 'one value'} ({prod(shape)} values)"


def spread(numbers: tuple[object, ...], shape: Shape, option: str) -> tuple[int, ...]:
    """For each flat input, which of the ``numbers`` is its own: one for all, one a channel, or one an input.

    A channel's axis is the first or the last of three. Raises InvalidInput TLC502, TLC503.
    """
    count, size = len(numbers), prod(shape)
    if count == 1:
        return (0,) * size
    if count == size and len(shape) == 1:
        return tuple(range(size))
    axes = [axis for axis in (0, 2) if len(shape) == 3 and shape[axis] == count]
    if len(axes) != 1:
        code, what = (
            ("TLC502", "which axis has the channels?") if axes else ("TLC503", "not one number a channel")
        )
        raise InvalidInput(
            code, what, field=option, expected="one number, or one for each channel of the network's input",
            got=f"{count} numbers for {_sized(shape)}",
        )  # fmt: skip
    places = np.arange(count).reshape([-1 if axis == axes[0] else 1 for axis in range(3)])
    return tuple(np.broadcast_to(places, shape).ravel().tolist())
